<?php
// What the PHP programs of the matrix share: features that run one after another, each with its line of result.
//
// Written to the stream itself: output of PHP's own would count as sent headers, and sessions refuse then.
// Each prints `ok name` or `fail name: reason`. The exit code is 1 if any failed.

error_reporting(E_ALL & ~E_DEPRECATED);
set_error_handler(function ($level, $text) {
    if (error_reporting() & $level) {
        throw new ErrorException($text);
    }
    return true;
});

$port = (int) $argv[1];
$failed = false;

function feature(string $name, callable $body): void
{
    global $failed;
    try {
        $body();
        fwrite(STDOUT, "ok $name\n");
    } catch (Throwable $error) {
        $failed = true;
        $text = preg_replace('/\s+/', ' ', get_class($error) . ': ' . $error->getMessage());
        fwrite(STDOUT, "fail $name: " . substr($text, 0, 300) . "\n");
    }
}

function expect($found, $wanted): void
{
    if ($found != $wanted) {
        throw new Exception('expected ' . json_encode($wanted) . ', found ' . json_encode($found));
    }
}

/// Runs the program's own second part in a process beside it; the part is the third argument.
function beside(string $part)
{
    global $argv, $port;
    return proc_open([PHP_BINARY, $argv[0], (string) $port, $part], [], $pipes);
}
