import Synchronization
import Testing
import YuyanEngine

@testable import YuyanServe

/// A strict reader of Prometheus' text format: what it takes, every scraper takes.
struct ExpositionReader {
    struct Sample: Hashable {
        let name: String
        let labels: [String: String]
        let value: Double
    }
    struct Fault: Error, CustomStringConvertible {
        let description: String
    }

    private(set) var kinds: [String: String] = [:]
    private(set) var samples: [Sample] = []

    init(_ text: String) throws {
        guard text.hasSuffix("\n") else { throw Fault(description: "no line feed at the end") }
        var family = ""
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            if line.hasPrefix("# HELP ") {
                family = String(line.split(separator: " ")[2])
                guard kinds[family] == nil else { throw Fault(description: "\(family) twice") }
            } else if line.hasPrefix("# TYPE ") {
                let words = line.split(separator: " ")
                guard words.count == 4, words[2] == family,
                    ["counter", "gauge", "histogram"].contains(words[3])
                else { throw Fault(description: "\(line)") }
                kinds[family] = String(words[3])
            } else {
                let sample = try Self.sample(line)
                let suffixes = kinds[family] == "histogram" ? ["_bucket", "_sum", "_count"] : [""]
                guard suffixes.contains(where: { sample.name == family + $0 }) else {
                    throw Fault(description: "\(sample.name) in the family \(family)")
                }
                guard
                    !samples.contains(where: {
                        $0.name == sample.name && $0.labels == sample.labels
                    })
                else { throw Fault(description: "\(line): twice") }
                samples.append(sample)
            }
        }
        try checkHistograms()
    }

    func value(_ name: String, _ labels: [String: String] = [:]) -> Double? {
        samples.first { sample in
            sample.name == name && labels.allSatisfy { sample.labels[$0.key] == $0.value }
        }?.value
    }

    private static func isName(_ text: some StringProtocol) -> Bool {
        guard let first = text.utf8.first, !(48...57).contains(first) else { return false }
        return text.utf8.allSatisfy { byte in
            (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
                || byte == 95 || byte == 58
        }
    }

    private static func sample(_ line: Substring) throws -> Sample {
        let fault = Fault(description: "\(line)")
        var rest = line
        let name = rest.prefix { $0 != "{" && $0 != " " }
        guard isName(name) else { throw fault }
        rest = rest.dropFirst(name.count)
        var labels: [String: String] = [:]
        if rest.first == "{" {
            rest = rest.dropFirst()
            while rest.first != "}" {
                let label = rest.prefix { $0 != "=" }
                guard isName(label), !label.contains(":") else { throw fault }
                rest = rest.dropFirst(label.count)
                guard rest.hasPrefix("=\"") else { throw fault }
                rest = rest.dropFirst(2)
                var value = ""
                while let character = rest.popFirst(), character != "\"" {
                    guard character == "\\" else {
                        value.append(character)
                        continue
                    }
                    switch rest.popFirst() {
                    case "\\": value += "\\"
                    case "\"": value += "\""
                    case "n": value += "\n"
                    default: throw fault
                    }
                }
                guard labels.updateValue(value, forKey: String(label)) == nil else { throw fault }
                if rest.first == "," {
                    rest = rest.dropFirst()
                } else if rest.first != "}" {
                    throw fault
                }
            }
            rest = rest.dropFirst()
        }
        guard rest.first == " " else { throw fault }
        let number = rest.dropFirst()
        let value = number == "+Inf" ? .infinity : Double(number)
        guard let value, !number.contains(" ") else { throw fault }
        return Sample(name: String(name), labels: labels, value: value)
    }

    private func checkHistograms() throws {
        for (family, kind) in kinds where kind == "histogram" {
            let buckets = samples.filter { $0.name == family + "_bucket" }
            let values = buckets.map(\.value)
            guard zip(values, values.dropFirst()).allSatisfy(<=),
                buckets.last?.labels["le"] == "+Inf",
                let count = value(family + "_count"), count == values.last,
                value(family + "_sum") != nil
            else { throw Fault(description: "\(family): buckets \(values)") }
        }
    }
}

@Suite("Metrics")
struct MetricsTests {
    private func record(_ id: String) -> RequestRecord {
        var record = RequestRecord(requestID: id, client: "c", endpoint: "/v1/completions")
        record.promptTokens = 100
        record.generatedTokens = 20
        record.sampleCount = 2
        record.maxTokens = 32
        record.queueTime = .milliseconds(100)
        record.timeToFirstToken = .milliseconds(300)
        record.duration = .milliseconds(1300)
        record.interTokenSeconds = [0.02, 0.2]
        record.finishReasons = ["stop", "tool_calls"]
        return record
    }

    private var statistics: EngineStatistics {
        var result = EngineStatistics()
        result.blocks = [.free, .cached, .used(sequence: 1, users: 1, tokens: 16)]
        result.totalBlocks = 3
        result.usedBlocks = 1
        result.liveTokens = 16
        result.waiting = 4
        result.steps = 2
        result.promptTokens = 50
        result.generatedTokens = 9
        result.acceptedByPosition = [3, 1]
        result.computeTime = .milliseconds(900)
        result.overheadTime = .milliseconds(100)
        result.recentSteps = [(100, .milliseconds(1)), (3, .milliseconds(1))]
        return result
    }

    @Test("the text is what Prometheus reads, with vLLM's names and labels")
    func text() throws {
        let metrics = ServerMetrics()
        metrics.finished(record("a"))
        let text = metrics.text(
            statistics: statistics, modelID: "a \"b\"\\\n", connections: 2, active: 1)
        let read = try ExpositionReader(text)
        let labels = ["model_name": "a \"b\"\\\n", "engine": "0"]
        #expect(read.value("vllm:num_requests_waiting", labels) == 4)
        #expect(read.value("vllm:kv_cache_usage_perc", labels) == 1.0 / 3)
        #expect(read.value("vllm:prompt_tokens_total", labels) == 50)
        #expect(read.value("vllm:generation_tokens_total", labels) == 9)
        #expect(read.value("vllm:request_success_total", ["finished_reason": "stop"]) == 2)
        #expect(read.value("vllm:request_success_total", ["finished_reason": "abort"]) == 0)
        #expect(read.value("vllm:time_to_first_token_seconds_bucket", ["le": "0.25"]) == 0)
        #expect(read.value("vllm:time_to_first_token_seconds_bucket", ["le": "0.5"]) == 1)
        #expect(read.value("vllm:time_to_first_token_seconds_sum") == 0.3)
        #expect(read.value("vllm:inter_token_latency_seconds_count") == 2)
        #expect(read.value("vllm:request_prefill_time_seconds_sum") == 0.3 - 0.1)
        #expect(read.value("vllm:request_decode_time_seconds_sum") == 1)
        #expect(read.value("vllm:request_inference_time_seconds_sum") == 1.2)
        #expect(read.value("vllm:request_prompt_tokens_bucket", ["le": "100"]) == 1)
        #expect(read.value("vllm:request_prompt_tokens_bucket", ["le": "50"]) == 0)
        #expect(
            read.value(
                "vllm:spec_decode_num_accepted_tokens_per_pos_total", ["position": "1"]) == 1)
        #expect(read.value("yuyan:step_overhead_ratio") == 0.1)
        #expect(read.value("yuyan:kv_block_utilization") == 0.5)
        #expect(read.value("yuyan:kv_blocks", ["state": "free"]) == 1)
        #expect(read.value("llamacpp:requests_deferred") == 4)
        #expect(read.value("vllm:iteration_tokens_total_count") == 2)
        #expect(read.value("process_resident_memory_bytes").map { $0 > 1e6 } == true)
        #expect(read.kinds["vllm:prompt_tokens_total"] == "counter")
        #expect(read.kinds["vllm:kv_cache_usage_perc"] == "gauge")
    }

    @Test("before the model is there the text still reads")
    func early() throws {
        let text = ServerMetrics().text(
            statistics: nil, modelID: "", connections: 0, active: 0)
        #expect(try ExpositionReader(text).value("yuyan:http_connections") == 0)
    }

    @Test("steps between two looks are counted once")
    func steps() {
        let metrics = ServerMetrics()
        var statistics = EngineStatistics()
        statistics.steps = 100
        statistics.recentSteps = Array(repeating: (8, .zero), count: 64)
        metrics.note(statistics)
        metrics.note(statistics)
        #expect(metrics.state.withLock { $0.iterationTokens.count } == 64)
        statistics.steps = 103
        metrics.note(statistics)
        #expect(metrics.state.withLock { $0.iterationTokens.count } == 67)
    }

    @Test("records are kept only for requests that somebody waits for")
    func records() {
        let metrics = ServerMetrics()
        metrics.finished(record("unknown"))
        metrics.expect("a")
        metrics.finished(record("a"))
        let answer = ServerMetrics.Answer(template: "/x", method: "POST", status: 200)
        #expect(metrics.answered(answer, requestID: "unknown") == nil)
        #expect(metrics.answered(answer, requestID: "a")?.promptTokens == 100)
        #expect(metrics.answered(answer, requestID: "a") == nil)
        metrics.expect("b")
        #expect(metrics.answered(answer, requestID: "b") == nil)
        #expect(metrics.state.withLock { $0.expected.isEmpty })
        #expect(metrics.state.withLock { $0.answers[answer] } == 4)
    }

    @Test("a histogram counts a value in the bucket that it just fits")
    func histogram() {
        var histogram = Histogram([1, 2, 5])
        for value in [0, 1, 1.5, 2, 5, 5.1, 100] { histogram.observe(value) }
        #expect(histogram.counts == [2, 2, 1, 2])
        #expect(histogram.sum == 114.6)
        #expect(Histogram.tokenBounds(upTo: 60) == [1, 2, 5, 10, 20, 50])
    }

    @Test("numbers are written as Prometheus reads them")
    func numbers() {
        let written = [0, 1, 2.5, 1e-9, -3, 1e20, .infinity, -.infinity].map(Exposition.number)
        #expect(written == ["0", "1", "2.5", "1e-09", "-3", "1e+20", "+Inf", "-Inf"])
        #expect(Exposition.number(.nan) == "NaN")
    }
}

@Suite("Metrics and engine over HTTP", .serialized)
struct MonitoringTests {
    @Test("requests show in metrics and log, with tokens and without their text")
    func request() async throws {
        try await ScriptedServer.run { scripted in
            let reply = try await scripted.ask(
                "POST", "/echo", headers: ["X-Request-Id": "r1"], body: "secret text")
            #expect(reply.status == 200)
            let metrics = try await scripted.ask("GET", "/metrics")
            #expect(metrics.headers["content-type"]?.hasPrefix("text/plain; version=0.0.4") == true)
            let read = try ExpositionReader(metrics.text)
            #expect(
                read.value(
                    "yuyan:http_requests_total",
                    ["route": "/echo", "method": "POST", "status": "200"]) == 1)
            #expect(read.value("vllm:request_generation_tokens_sum") == 3)
            let line = try #require(
                scripted.log.lines.withLock { $0.first { $0.contains("\"r1\"") } })
            #expect(line.contains(#""generated_tokens": 3"#))
            #expect(line.contains(#""finish_reasons": ["stop"]"#))
            #expect(line.contains(#""route": "/echo""#))
            #expect(!scripted.log.text.contains("secret"))
        }
    }

    @Test("the engine's snapshot has the block map in runs")
    func engine() async throws {
        try await ScriptedServer.run { scripted in
            scripted.engine.figures.withLock { figures in
                figures.blocks = [
                    .used(sequence: 3, users: 1, tokens: 32),
                    .used(sequence: 3, users: 1, tokens: 5),
                    .used(sequence: 3, users: 2, tokens: 32), .cached, .cached, .free,
                ]
                figures.totalBlocks = 6
                figures.usedBlocks = 3
                figures.liveTokens = 69
            }
            let text = try await scripted.ask("GET", "/engine").text
            #expect(text.contains(#""blocks": [[2, 2, 3, 1], [2, 1, 3, 2], [1, 2], [0, 1]]"#))
            #expect(text.contains(#""total_blocks": 6, "used_blocks": 3, "live_tokens": 69"#))
            #expect(text.contains(#""state": "ready""#))
        }
    }

    @Test("rates are means over the last seconds")
    func rates() {
        let throughput = Throughput()
        let start = ContinuousClock.now
        var statistics = EngineStatistics()
        for second in 0..<20 {
            throughput.note(statistics, at: start + .seconds(second))
            statistics.promptTokens += 10
            statistics.generatedTokens += second < 10 ? 100 : 4
        }
        let rates = throughput.rates(at: start + .seconds(20))
        #expect(rates.promptTokens == 10)
        #expect(rates.generatedTokens == 4)
        #expect(Throughput().rates(at: start) == Throughput.Rates())
    }
}
