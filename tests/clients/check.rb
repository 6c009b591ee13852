# What the Ruby programs of the matrix share: features that run one after another, each with its line of result.
#
# Each prints `ok name` or `fail name: reason`; one that hangs is given up. The exit code is 1 if any failed.
require "timeout"

PORT = Integer(ARGV[0])
# How long one feature may take, in seconds.
LIMIT = 20
$failed = false
$stdout.sync = true

def feature(name)
  Timeout.timeout(LIMIT) { yield }
  puts "ok #{name}"
rescue StandardError, Timeout::Error => error
  $failed = true
  puts "fail #{name}: #{error.class}: #{error.message}".gsub(/\s+/, " ")[0, 320]
  warn error.backtrace if ENV["CLIENTS_TRACE"]
end

def expect(found, wanted)
  raise "expected #{wanted.inspect}, found #{found.inspect}" unless found == wanted
end

def expect_error(kind)
  yield
rescue kind
  nil
else
  raise "expected #{kind}"
end

def until_true
  deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + LIMIT / 2
  until yield
    raise "waited in vain" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
    sleep 0.02
  end
end

at_exit { exit!($failed ? 1 : 0) unless $! && !$!.is_a?(SystemExit) }
