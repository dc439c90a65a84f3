<?php // Each line says whether it got what it went for.
header('Content-Type: text/plain');
error_reporting(0);

$processes = array_filter(scandir('/proc'), 'ctype_digit');
$others = array_filter($processes, fn($pid) => !in_array(fileowner("/proc/$pid"), [posix_getuid(), false], true));
exec('cat /home/wiki/public_html/conf/local.php', $config);
exec('ls /run/paddock/sockets', $sockets);

foreach ([
    "the wiki's home" => file_exists('/home/wiki'),
    "the wiki's configuration, by a shell" => $config !== [],
    'the names of other homes' => array_diff(scandir('/home') ?: [], ['.', '..', 'hostile']) !== [],
    '/etc/shadow' => file_get_contents('/etc/shadow') !== false,
    "Paddock's configuration" => is_dir('/etc/paddock'),
    "the tenants' sockets" => $sockets !== [],
    "Paddock's control socket" => stream_socket_client('unix:///run/paddock/control.sock') !== false,
    "other users' processes" => $others !== [],
    'a place in /usr to write to' => file_put_contents('/usr/bin/backdoor', 'x') !== false,
    'another uid' => posix_setuid(0),
    'a signal to process 1 of the machine' => posix_kill(1, 0) && trim(file_get_contents('/proc/1/comm')) === 'systemd',
] as $what => $got) {
    echo $got ? 'GOT      ' : 'refused  ', $what, "\n";
}
