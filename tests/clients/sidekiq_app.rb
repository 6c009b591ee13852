# Sidekiq's side of the program: jobs that leave a trace. Loaded by its worker process.
require "sidekiq"

Sidekiq.configure_server do |config|
  config.redis = { url: ENV.fetch("CLIENTS_URL") }
  Sidekiq.options[:poll_interval_average] = 0.5
  config.logger.level = Logger::FATAL
end
Sidekiq.configure_client { |config| config.redis = { url: ENV.fetch("CLIENTS_URL") } }

class Add
  include Sidekiq::Worker

  def perform(name, by)
    Sidekiq.redis { |redis| redis.incrby(name, by) }
  end
end

class Failing
  include Sidekiq::Worker
  sidekiq_options retry: 1
  sidekiq_retry_in { 1 }
  sidekiq_retries_exhausted { |_job| Sidekiq.redis { |redis| redis.set("given-up", 1) } }

  def perform
    Sidekiq.redis { |redis| redis.incr("tries") }
    raise "on purpose"
  end
end
