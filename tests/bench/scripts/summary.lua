-- Prints wrk's summary as one line of JSON. Defines nothing that runs per request, so it costs the load nothing.
done = function(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        'SUMMARY {"requests":%d,"microseconds":%d,"bytes":%d,"p50":%d,"p99":%d,"errors":%d}\n',
        summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99),
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
