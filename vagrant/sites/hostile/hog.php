<?php // PHP's memory_limit does not count what other programs take.
exec('dd if=/dev/zero of=/dev/null bs=500M count=1');
echo "done\n";
