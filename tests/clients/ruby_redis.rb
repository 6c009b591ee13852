# redis-rb: what its users do, through one endpoint.
#
# usage: ruby_redis.rb PORT
require_relative "check"
require "redis"
require "connection_pool"

CLIENT = Redis.new(host: "127.0.0.1", port: PORT)
client = CLIENT

feature("connect") do
  expect client.ping, "PONG"
  named = Redis.new(url: "redis://127.0.0.1:#{PORT}/0", id: "matrix")
  expect named.call("CLIENT", "GETNAME"), "matrix"
  expect client.info["redis_mode"], "standalone"
end

feature("all types") do
  expect client.set("s", "1", ex: 100), "OK"
  expect client.get("s"), "1"
  expect client.ttl("s") > 90, true
  expect client.hset("h", "f", "v", "g", "w"), 2
  expect client.hgetall("h"), { "f" => "v", "g" => "w" }
  expect client.mapped_hmget("h", "f", "none"), { "f" => "v", "none" => nil }
  expect client.rpush("l", %w[a b c]), 3
  expect client.lrange("l", 0, -1), %w[a b c]
  expect client.sadd("set", %w[m n]), 2
  expect client.smembers("set").sort, %w[m n]
  expect client.zadd("z", [[1.5, "x"], [2, "y"]]), 2
  expect client.zrange("z", 0, -1, with_scores: true), [["x", 1.5], ["y", 2.0]]
  expect_error(Redis::CommandError) { client.lpush("s", "x") }
end

feature("streams") do
  id = client.xadd("st", { "n" => 1 })
  expect client.xrange("st"), [[id, { "n" => "1" }]]
  client.xgroup(:create, "st", "g", 0)
  expect client.xreadgroup("g", "me", "st", ">"), { "st" => [[id, { "n" => "1" }]] }
  expect client.xack("st", "g", id), 1
end

feature("many keys over slots") do
  names = (0...100).map { |n| "many:#{n}" }
  expect client.mapped_mset(names.to_h { |name| [name, name] }), "OK"
  expect client.mapped_mget(*names), names.to_h { |name| [name, name] }
  expect client.exists(*names), 100
  expect client.del(names), 100
end

feature("pipeline") do
  replies = client.pipelined { |pipe| 500.times { |n| pipe.incr("p:#{n % 50}") } }
  expect replies.last, 10
end

feature("transaction in one slot") do
  replies = client.multi do |multi|
    multi.set("{t}a", 1)
    multi.incr("{t}a")
    multi.get("{t}a")
  end
  expect replies, ["OK", 2, "2"]
end

feature("watch") do
  other = Redis.new(host: "127.0.0.1", port: PORT)
  result = client.watch("{w}a") do
    other.set("{w}a", "changed")
    client.multi { |multi| multi.set("{w}a", "lost") }
  end
  expect result, nil
end

feature("transaction over slots") do
  replies = client.multi { |multi| 20.times { |n| multi.set("over:#{n}", n) } }
  expect replies, ["OK"] * 20
end

feature("scripts") do
  code = "return redis.call('incrby', KEYS[1], ARGV[1])"
  sha = client.script(:load, code)
  expect client.evalsha(sha, keys: ["lua"], argv: [7]), 7
  expect client.script(:exists, sha), true
  client.script(:flush)
  begin
    client.evalsha(sha, keys: ["lua"], argv: [7])
  rescue Redis::CommandError => error
    raise unless error.message.start_with?("NOSCRIPT")
    expect client.eval(code, keys: ["lua"], argv: [7]), 14
  end
  expect client.evalsha(sha, keys: ["lua"], argv: [1]) > 7, true
end

feature("blocking pops") do
  expect client.blpop("{b}1", timeout: 0.1), nil
  later = ->(&work) { Thread.new { sleep 0.1; work.call(Redis.new(host: "127.0.0.1", port: PORT)) } }
  later.call { |other| other.rpush("{b}2", "x") }
  expect client.blpop("{b}1", "{b}2", timeout: 5), ["{b}2", "x"]
  later.call { |other| other.rpush("{b}2", "y") }
  expect client.brpoplpush("{b}2", "{b}3", timeout: 5), "y"
end

feature("publish and subscribe") do
  got = []
  ready = Queue.new
  thread = Thread.new do
    Redis.new(host: "127.0.0.1", port: PORT).psubscribe("we*", "news") do |on|
      on.psubscribe { |_, total| ready << total if total == 2 }
      on.pmessage { |_, channel, message| got << [channel, message] }
      on.punsubscribe { |_, total| ready << total }
    end
  end
  ready.pop
  expect client.publish("news", "hello"), 1
  expect client.publish("weather", "rain"), 1
  until_true { got.size == 2 }
  expect got.sort, [%w[news hello], %w[weather rain]]
  thread.kill
end

feature("scan iterators") do
  names = (0...500).map { |n| "scan:#{n}" }
  client.mapped_mset(names.to_h { |name| [name, 1] })
  expect client.scan_each(match: "scan:*", count: 50).to_a.uniq.sort, names.sort
  client.mapped_hmset("scan-h", names.to_h { |name| [name, 1] })
  expect client.hscan_each("scan-h").to_a.uniq.size, 500
end

feature("connection pool") do
  pool = ConnectionPool.new(size: 4) { Redis.new(host: "127.0.0.1", port: PORT) }
  threads = (0...16).map { Thread.new { 50.times { pool.with { |redis| redis.incr("pool") } } } }
  threads.each(&:join)
  expect client.get("pool"), "800"
end

feature("reconnect") do
  own = Redis.new(host: "127.0.0.1", port: PORT)
  3.times do
    id = own.call("CLIENT", "ID")
    expect client.call("CLIENT", "KILL", "ID", id), 1
    sleep 0.05
    expect own.set("again", 1), "OK"
  end
end
