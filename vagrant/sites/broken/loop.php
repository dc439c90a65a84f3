<?php
set_time_limit(0);
for (;;);
