<?php
// What a tenant's PHP is, and what it sees: everything here is found out by this request.
declare(strict_types=1);
error_reporting(E_ALL & ~E_WARNING); // half of what is tried here is meant to fail

$me = posix_getpwuid(posix_getuid());
$status = file_get_contents('/proc/self/status');
$field = fn(string $name): string => preg_match("/^$name:\s*(.*)$/m", $status, $m) ? $m[1] : '?';

$identity = [
    'User' => "{$me['name']} (uid " . posix_getuid() . ', gid ' . posix_getgid() . ')',
    'Home' => $me['dir'],
    'Worker' => 'process ' . getmypid() . ' of this sandbox',
    'PHP' => PHP_VERSION . ', ' . PHP_SAPI,
    'Host name' => php_uname('n'),
    'Capabilities' => $field('CapEff') . ', bounding set ' . $field('CapBnd'),
    'No new privileges' => $field('NoNewPrivs') === '1' ? 'yes' : 'no',
    'Seccomp' => ['off', 'strict', 'filter'][(int) $field('Seccomp')],
];

$namespaces = [];
foreach (['user', 'mnt', 'pid', 'ipc', 'uts', 'cgroup', 'net'] as $kind) {
    $namespaces[$kind] = (string) readlink("/proc/self/ns/$kind");
}

$processes = [];
foreach (scandir('/proc') as $entry) {
    if (ctype_digit($entry)) {
        $processes[$entry] = trim(str_replace("\0", ' ', (string) file_get_contents("/proc/$entry/cmdline")));
    }
}
ksort($processes);

$own = $me['dir'] . '/secret.txt';
$written = $me['dir'] . '/written-by-php.txt';
file_put_contents($written, date('c') . "\n");
$attempts = [
    "Read its own $own, mode " . decoct(fileperms($own) & 0777) => is_readable($own),
    "Write $written; it belongs to " . posix_getpwuid(fileowner($written))['name'] => true,
    'See /home/paddock-wiki' => file_exists('/home/paddock-wiki'),
    'List /home: ' . implode(' ', array_diff((array) scandir('/home'), ['.', '..'])) => (bool) scandir('/home'),
    'Read /etc/shadow' => is_readable('/etc/shadow'),
    'Write to /usr' => (bool) file_put_contents('/usr/x', 'x'),
    'Signal process 2 of the host' => posix_kill(2, 0) && count($processes) > 50,
];

$opcache = opcache_get_status(true) ?: null;
$cache = [
    'Enabled' => $opcache && $opcache['opcache_enabled'] ? 'yes, this tenant\'s own' : 'no',
    'Hits' => $opcache['opcache_statistics']['hits'] ?? 0,
    'Scripts' => implode("\n", array_keys($opcache['scripts'] ?? [])),
];

$limits = ['memory_limit' => ini_get('memory_limit'), 'max_execution_time' => ini_get('max_execution_time')];
foreach (posix_getrlimit() as $name => $value) {
    if (in_array($name, ['soft openfiles', 'soft maxproc', 'soft core'], true)) {
        $limits[$name] = (string) $value;
    }
}
$limits['/tmp'] = round(disk_total_space('/tmp') / (1 << 20)) . ' MiB';

function table(string $title, array $rows): void
{
    echo '<section><h2>', htmlspecialchars($title), '</h2><table>';
    foreach ($rows as $name => $value) {
        $shown = is_bool($value) ? ($value ? '<b class=yes>yes</b>' : '<b class=no>no</b>')
                                 : nl2br(htmlspecialchars((string) $value));
        echo '<tr><th>', htmlspecialchars((string) $name), '</th><td>', $shown, '</td></tr>';
    }
    echo '</table></section>';
}
?>
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title><?= htmlspecialchars($me['name']) ?> in a paddock</title>
<link rel="stylesheet" href="style.css">
<h1><?= htmlspecialchars($me['name']) ?> <small>in a paddock of its own</small></h1>
<main>
<?php
table('Who it is', $identity);
table('What it can do', $attempts);
table('The processes that it sees: all of them its own', $processes);
table('Namespaces', $namespaces);
table('Opcode cache', $cache);
table('Limits', $limits);
?>
</main>
<p>The other tenant's wiki runs beside this, as another user, in other namespaces. Compare the numbers with
<code>ls -l /proc/self/ns</code> on the host.</p>
