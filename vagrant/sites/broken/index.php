<?php // A site with every mistake that a host sees.
?>
<!DOCTYPE html>
<title>broken</title>
<h1>A broken site</h1>
<ul>
  <li><a href="fatal.php">fatal.php</a> calls what is not there
  <li><a href="loop.php">loop.php</a> does not end
  <li><a href="leak.php">leak.php</a> wants all memory
  <li><a href="crash.php">crash.php</a> takes PHP itself down
</ul>
