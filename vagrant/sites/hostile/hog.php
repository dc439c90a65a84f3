<?php // PHP's memory_limit does not count what other programs take: tail keeps all of it, for want of a line's end.
exec('head -c 2G /dev/zero | tail');
echo "done\n";
