<?php // A site whose owner, or whoever broke into it, is up to no good.
?>
<!DOCTYPE html>
<title>hostile</title>
<h1>A hostile site</h1>
<ul>
  <li><a href="spy.php">spy.php</a> looks for what is not its own
  <li><a href="bomb.php">bomb.php</a> forks for ever
  <li><a href="hog.php">hog.php</a> takes memory past PHP's own limit
  <li><a href="hold.php">hold.php</a> holds a worker for a minute
</ul>
