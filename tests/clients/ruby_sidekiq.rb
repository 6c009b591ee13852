# Sidekiq: a worker process, and a program that gives it work.
#
# usage: ruby_sidekiq.rb PORT
require_relative "check"
ENV["CLIENTS_URL"] = "redis://127.0.0.1:#{PORT}/0"
require_relative "sidekiq_app"
require "sidekiq/api"

options = ["-r", File.join(__dir__, "sidekiq_app.rb"), "-q", "default", "-q", "low", "-c", "4", "-t", "1"]
worker = spawn("sidekiq", *options, %i[out err] => File::NULL)
number = ->(name) { Sidekiq.redis { |redis| redis.get(name).to_i } }

feature("jobs") do
  50.times { |n| Add.perform_async("sum", n) }
  until_true { number.call("sum") == 1225 }
end

feature("jobs in bulk, and another queue") do
  Sidekiq::Client.push_bulk("class" => Add, "args" => (0...50).map { |n| ["bulk", n] })
  Add.set(queue: "low").perform_async("bulk", 5)
  until_true { number.call("bulk") == 1230 }
end

feature("scheduled jobs") do
  Add.perform_in(1, "later", 1)
  expect Sidekiq::ScheduledSet.new.size, 1
  until_true { number.call("later") == 1 }
end

feature("retries and dead jobs") do
  Failing.perform_async
  until_true { number.call("given-up") == 1 }
  expect number.call("tries"), 2
  until_true { Sidekiq::DeadSet.new.size == 1 }
end

feature("statistics and processes") do
  until_true { Sidekiq::Stats.new.processed >= 103 }
  until_true { Sidekiq::ProcessSet.new.size == 1 }
  until_true { Sidekiq::Stats.new.failed >= 2 }
end

feature("looking into a queue and emptying it") do
  10.times { |n| Add.set(queue: "nobody").perform_async("x", n) }
  queue = Sidekiq::Queue.new("nobody")
  expect queue.map { |job| job.args.last }.sort, (0...10).to_a
  expect queue.latency >= 0, true
  queue.first.delete
  expect queue.size, 9
  queue.clear
  expect queue.size, 0
end

feature("ending the worker") do
  Process.kill("TERM", worker)
  Process.wait(worker)
end
