<?php
// phpredis: what its users do, through one endpoint.
//
// usage: php_redis.php PORT

require __DIR__ . '/check.php';

function connected(): Redis
{
    global $port;
    $client = new Redis();
    $client->connect('127.0.0.1', $port, 5);
    $client->setOption(Redis::OPT_READ_TIMEOUT, 15);
    return $client;
}

$client = connected();
if (($argv[2] ?? '') === 'push') {
    usleep(200000);
    $client->rPush('{b}2', 'x');
    exit(0);
}
if (($argv[2] ?? '') === 'publish') {
    for ($n = 0; $n < 50 && $client->publish('weather', 'rain') < 1; $n++) {
        usleep(50000);
    }
    exit(0);
}

feature('connect', function () use ($client) {
    expect($client->ping(), true);
    expect($client->echo('hello'), 'hello');
    expect($client->client('setname', 'matrix'), true);
    expect($client->client('getname'), 'matrix');
    expect($client->info()['redis_mode'], 'standalone');
    expect($client->select(0), true);
});

feature('all types', function () use ($client) {
    expect($client->set('s', '1', ['ex' => 100, 'nx']), true);
    expect($client->get('s'), '1');
    expect($client->ttl('s') > 90, true);
    expect($client->hMSet('h', ['f' => 'v', 'g' => 'w']), true);
    expect($client->hGetAll('h'), ['f' => 'v', 'g' => 'w']);
    expect($client->rPush('l', 'a', 'b', 'c'), 3);
    expect($client->lRange('l', 0, -1), ['a', 'b', 'c']);
    expect($client->sAddArray('set', ['m', 'n']), 2);
    expect($client->sCard('set'), 2);
    expect($client->zAdd('z', 1.5, 'x', 2, 'y'), 2);
    expect($client->zRange('z', 0, -1, true), ['x' => 1.5, 'y' => 2.0]);
    expect($client->geoadd('geo', 13.361389, 38.115556, 'Palermo'), 1);
    expect($client->lPush('s', 'x'), false);
    expect(strpos($client->getLastError(), 'WRONGTYPE') === 0, true);
});

feature('serializers and prefixes', function () {
    $own = connected();
    $own->setOption(Redis::OPT_SERIALIZER, Redis::SERIALIZER_PHP);
    $own->setOption(Redis::OPT_PREFIX, 'shop:');
    expect($own->set('a', ['any' => [1, 2]]), true);
    expect($own->get('a'), ['any' => [1, 2]]);
    expect($own->mGet(['a', 'none']), [['any' => [1, 2]], false]);
});

feature('streams', function () use ($client) {
    $id = $client->xAdd('st', '*', ['n' => 1]);
    expect($client->xRange('st', '-', '+'), [$id => ['n' => '1']]);
    expect($client->xGroup('CREATE', 'st', 'g', '0'), true);
    expect($client->xReadGroup('g', 'me', ['st' => '>']), ['st' => [$id => ['n' => '1']]]);
    expect($client->xAck('st', 'g', [$id]), 1);
});

feature('many keys over slots', function () use ($client) {
    $values = [];
    for ($n = 0; $n < 100; $n++) {
        $values["many:$n"] = "value $n";
    }
    expect($client->mSet($values), true);
    expect($client->mGet(array_keys($values)), array_values($values));
    expect($client->exists(array_keys($values)), 100);
    expect(count($client->keys('many:*')), 100);
    expect($client->del(array_keys($values)), 100);
});

feature('pipeline', function () use ($client) {
    $pipe = $client->pipeline();
    for ($n = 0; $n < 500; $n++) {
        $pipe->incr('p:' . $n % 50);
    }
    $replies = $pipe->exec();
    expect([count($replies), end($replies)], [500, 10]);
});

feature('transaction in one slot', function () {
    $client = connected();
    expect($client->multi()->set('{t}a', 1)->incr('{t}a')->get('{t}a')->exec(), [true, 2, '2']);
});

feature('watch', function () {
    $client = connected();
    $client->watch(['{w}a', '{w}b']);
    connected()->set('{w}b', 'changed');
    expect($client->multi()->set('{w}a', 'lost')->exec(), false);
    $client->watch('{w}a');
    $client->unwatch();
});

feature('transaction over slots', function () {
    $client = connected();
    // As a cache of many values does it: one SETEX each.
    $multi = $client->multi();
    for ($n = 0; $n < 20; $n++) {
        $multi->setex("over:$n", 60, $n);
    }
    expect($multi->exec(), array_fill(0, 20, true));
});

feature('scripts', function () {
    $client = connected();
    $code = "return redis.call('incrby', KEYS[1], ARGV[1])";
    expect($client->eval($code, ['lua', 7], 1), 7);
    $hash = $client->script('load', $code);
    expect($client->evalSha($hash, ['lua', 7], 1), 14);
    expect($client->script('exists', $hash), [1]);
    expect($client->script('flush'), true);
    $found = $client->evalSha($hash, ['lua', 1], 1);
    if ($found === false && strpos($client->getLastError(), 'NOSCRIPT') === 0) {
        $client->clearLastError();
        $found = $client->eval($code, ['lua', 1], 1);
    }
    expect($found, 15);
});

feature('blocking pops', function () {
    $client = connected();
    expect($client->blPop(['{b}1'], 1), []);
    $process = beside('push');
    expect($client->blPop(['{b}1', '{b}2'], 10), ['{b}2', 'x']);
    proc_close($process);
});

feature('publish and subscribe', function () {
    $got = null;
    $process = beside('publish');
    $subscriber = connected();
    try {
        $subscriber->psubscribe(['we*'], function ($redis, $pattern, $channel, $message) use (&$got) {
            $got = [$pattern, $channel, $message];
            $redis->punsubscribe(['we*']);
            $redis->close();
        });
    } catch (RedisException $closed) {
        // Closing is how one leaves the loop.
    }
    expect($got, ['we*', 'weather', 'rain']);
    proc_close($process);
});

feature('scan iterators', function () {
    $client = connected();
    for ($n = 0; $n < 500; $n++) {
        $values["scan:$n"] = 1;
    }
    $client->mSet($values);
    $found = [];
    // Cursors are signed in PHP: one that grew too large would show here.
    $cursor = null;
    $client->setOption(Redis::OPT_SCAN, Redis::SCAN_RETRY);
    while ($keys = $client->scan($cursor, 'scan:*', 50)) {
        $found += array_flip($keys);
    }
    expect(count($found), 500);
    $client->hMSet('scan-h', $values);
    [$cursor, $fields] = [null, 0];
    while ($some = $client->hScan('scan-h', $cursor)) {
        $fields += count($some);
    }
    expect($fields >= 500, true);
});

feature('persistent connections', function () use ($port) {
    for ($n = 0; $n < 5; $n++) {
        $own = new Redis();
        $own->pconnect('127.0.0.1', $port, 5, 'matrix');
        expect($own->incr('persistent'), $n + 1);
        $own->close();
    }
});

feature('sessions', function () use ($port) {
    ini_set('session.save_handler', 'redis');
    ini_set('session.save_path', "tcp://127.0.0.1:$port?prefix=session:");
    ini_set('session.use_cookies', '0');
    ini_set('session.cache_limiter', '');
    ini_set('redis.session.locking_enabled', '1');
    session_id('matrix');
    session_start();
    $_SESSION['cart'] = [1, 2];
    session_write_close();
    $_SESSION = [];
    session_start();
    expect($_SESSION['cart'], [1, 2]);
    session_destroy();
});

feature('reconnect', function () use ($client) {
    $own = connected();
    for ($n = 0; $n < 3; $n++) {
        $id = $own->rawCommand('CLIENT', 'ID');
        expect($client->rawCommand('CLIENT', 'KILL', 'ID', $id), 1);
        usleep(50000);
        expect($own->set('again', 1), true);
    }
});

exit($failed ? 1 : 0);
