<?php
// php frameworks.php HOST PORT: what Laravel and others do with a Redis beside PUBLISH
// and SUBSCRIBE, with phpredis. Laravel broadcasts by the script on stdin.
function check($what, $got, $want)
{
    if ($got !== $want) {
        fwrite(STDERR, "$what: " . var_export($got, true) . ', want ' . var_export($want, true) . "\n");
        exit(1);
    }
}

$redis = new Redis();
$redis->connect($argv[1], (int) $argv[2]);
$redis->client('setname', 'framework');
check('transaction', $redis->multi()->publish('/none', 'x')->publish('/stream', 'first')->exec(), [0, 1]);
check('watch', $redis->watch('key'), true);
check('unwatch', $redis->unwatch(), true);
$payload = json_encode(['event' => 'E', 'data' => ['a' => 1], 'socket' => null]);
check('broadcast', $redis->eval(stream_get_contents(STDIN), [$payload, '/stream', '/none'], 0), false);
check('error of broadcast', $redis->getLastError(), null);
check('another script', $redis->eval('return 1', [], 0), false);
check('refusal', strpos($redis->getLastError(), 'EVAL runs one script only') !== false, true);
$redis->clearLastError();
check('bytes', $redis->publish('/none', "\xff\x00\r\n"), 0);
check('bytes as text', $redis->publish('/text', "\xff\x00\r\n"), false);
check('why', preg_match('/PATTERN=base64.*PATTERN=none/', $redis->getLastError()), 1);
check('role', $redis->rawCommand('ROLE')[0], 'master');
check('time', count($redis->time()), 2);
check('dbSize', $redis->dbSize(), 0);
check('exists', $redis->exists('a', 'b'), 0);
check('config', $redis->config('GET', 'maxmemory'), ['maxmemory' => '0']);
check('client list', $redis->client('list')[0]['name'], 'framework');
echo "ok\n";
