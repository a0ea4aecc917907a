import YuyanEngine
import YuyanFormats
import YuyanNN
import YuyanTensor

/// What `bench` prints: rates, the machine's peak, and the share of it that was used.
struct BenchReport {
    /// The least work and traffic that a token needs.
    struct Cost {
        /// Floating-point operations of the weight products of one prompt token.
        let prefillOperations: Double
        /// Bytes read for one generated token: weights, and the cache at its mean length.
        let decodeBytes: Double

        init(
            _ decoder: Decoder, promptTokens: Int, generateTokens: Int, kv: KeyValueType
        ) {
            let head = Double(decoder.headMultiplyAdds)
            let others = Double(decoder.multiplyAddsPerToken) - head
            prefillOperations = 2 * (others + head / Double(promptTokens))
            let meanContext = Double(generateTokens + 1) / 2
            decodeBytes =
                Double(decoder.bytesReadPerToken)
                + meanContext * Double(decoder.cacheLayout(type: kv).bytesPerToken)
        }
    }

    let prefill: Spread
    let decode: Spread
    let cost: Cost
    let tokenizing: Spread?
    var batch: BatchSpeed?
    let peak: MachinePeak
    let residentBytes: Int
    let settings: JSONOutput

    private var prefillFraction: Double {
        cost.prefillOperations * prefill.median / (peak.gigaflops * 1e9)
    }
    private var decodeFraction: Double {
        cost.decodeBytes * decode.median / (peak.readGigabytes * 1e9)
    }

    var json: JSONOutput {
        var entries: [(key: String, value: JSONOutput)] = [
            ("prefill_tok_s", prefill.json),
            ("decode_tok_s", decode.json),
            ("peak", ["gflops": .double(peak.gigaflops), "gbs": .double(peak.readGigabytes)]),
            (
                "fraction_of_peak",
                ["prefill": .double(prefillFraction), "decode": .double(decodeFraction)]
            ),
            ("peak_rss_bytes", .integer(residentBytes)),
        ]
        if let tokenizing { entries.append(("tokenizer_bytes_s", tokenizing.json)) }
        if let batch {
            entries.append(
                (
                    "batch",
                    [
                        "sequences": .integer(batch.sequences),
                        "tok_s": Spread(batch.tokensPerSecond).json,
                        "step_ms": Spread(batch.stepSeconds.map { $0 * 1e3 }).json,
                    ]
                ))
        }
        return .object(entries + [("settings", settings)])
    }

    var text: String {
        func share(_ value: Double) -> String { (value * 100).formatted(digits: 0) + " %" }
        return """
            prefill \(prefill.text) tok/s, \(share(prefillFraction)) of \
            \(peak.gigaflops.formatted(digits: 0)) GFLOP/s
            decode  \(decode.text) tok/s, \(share(decodeFraction)) of \
            \(peak.readGigabytes.formatted(digits: 1)) GB/s
            \(peak.threads) threads · peak memory \(residentBytes >> 20) MiB
            """
                + (batch.map {
                    "\nbatch of \($0.sequences): \(Spread($0.tokensPerSecond).text) tok/s in all, "
                        + "\(Spread($0.stepSeconds.map { $0 * 1e3 }).text) ms a step"
                } ?? "")
                + (tokenizing.map { "\ntokenizer \(($0.median / 1e6).formatted(digits: 2)) MB/s" }
                    ?? "")
    }
}

extension Spread {
    /// `{min, median, max}`
    var json: JSONOutput {
        ["min": .double(least), "median": .double(median), "max": .double(greatest)]
    }

    /// `min/median/max`
    var text: String {
        [least, median, greatest].map { $0.formatted(digits: 1) }.joined(separator: "/")
    }
}
