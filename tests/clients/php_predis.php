<?php
// Predis: what its users do, through one endpoint.
//
// usage: php_predis.php PORT

require __DIR__ . '/check.php';
require 'Predis/Autoloader.php';
Predis\Autoloader::register();

$client = new Predis\Client(['host' => '127.0.0.1', 'port' => $port, 'database' => 0, 'read_write_timeout' => 15]);

feature('connect', function () use ($client) {
    expect((string) $client->ping(), 'PONG');
    expect($client->info()['Server']['redis_mode'], 'standalone');
});

feature('all types', function () use ($client) {
    expect((string) $client->set('s', '1', 'EX', 100), 'OK');
    expect($client->get('s'), '1');
    expect((string) $client->hmset('h', ['f' => 'v', 'g' => 'w']), 'OK');
    expect($client->hgetall('h'), ['f' => 'v', 'g' => 'w']);
    expect($client->rpush('l', ['a', 'b']), 2);
    expect($client->sadd('set', ['m', 'n']), 2);
    expect($client->zadd('z', ['x' => 1.5, 'y' => 2]), 2);
    expect($client->zrange('z', 0, -1, 'WITHSCORES'), ['x' => 1.5, 'y' => 2]);
});

feature('many keys over slots', function () use ($client) {
    for ($n = 0; $n < 50; $n++) {
        $values["many:$n"] = "value $n";
    }
    expect((string) $client->mset($values), 'OK');
    expect($client->mget(array_keys($values)), array_values($values));
    expect($client->del(array_keys($values)), 50);
});

feature('pipeline', function () use ($client) {
    $replies = $client->pipeline(function ($pipe) {
        for ($n = 0; $n < 500; $n++) {
            $pipe->incr('p:' . $n % 50);
        }
    });
    expect([count($replies), end($replies)], [500, 10]);
});

feature('transaction in one slot', function () use ($client) {
    $replies = $client->transaction(['watch' => '{t}a', 'cas' => true, 'retry' => 3], function ($tx) {
        $tx->get('{t}a');
        $tx->multi();
        $tx->set('{t}a', 1);
        $tx->incr('{t}a');
    });
    expect($replies[1], 2);
});

feature('transaction over slots', function () use ($client) {
    $replies = $client->transaction(function ($tx) {
        for ($n = 0; $n < 20; $n++) {
            $tx->setex("over:$n", 60, $n);
        }
    });
    expect(count($replies), 20);
});

feature('scripts', function () use ($client) {
    $code = "return redis.call('incrby', KEYS[1], ARGV[1])";
    expect($client->eval($code, 1, 'lua', 7), 7);
    expect($client->evalsha(sha1($code), 1, 'lua', 7), 14);
});

feature('publish and subscribe', function () use ($client, $port) {
    $own = new Predis\Client(['host' => '127.0.0.1', 'port' => $port, 'read_write_timeout' => 15]);
    $loop = $own->pubSubLoop();
    $loop->subscribe('news');
    foreach ($loop as $message) {
        if ($message->kind === 'subscribe') {
            expect($client->publish('news', 'hello'), 1);
        } elseif ($message->kind === 'message') {
            expect($message->payload, 'hello');
            $loop->unsubscribe();
        }
    }
});

feature('scan iterators', function () use ($client) {
    for ($n = 0; $n < 300; $n++) {
        $values["scan:$n"] = 1;
    }
    $client->mset($values);
    $found = [];
    foreach (new Predis\Collection\Iterator\Keyspace($client, 'scan:*', 50) as $key) {
        $found[$key] = 1;
    }
    expect(count($found), 300);
});

exit($failed ? 1 : 0);
