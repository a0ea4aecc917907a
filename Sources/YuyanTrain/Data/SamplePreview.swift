import YuyanText

/// A sample as people can check it: decoded, with what is learnt marked.
package struct SamplePreview: Sendable {
    package let sample: TrainingSample
    let tokenizer: Tokenizer

    /// Share of the tokens that a loss is taken over.
    package var supervisedShare: Double {
        Double(sample.supervisedCount) / Double(max(1, sample.tokens.count))
    }

    /// One line of figures, and the text.
    ///
    /// What is learnt is green on a terminal and stands in brackets elsewhere: `[learnt]`, or
    /// `[learnt]×0.5` where it counts half.
    package func text(isColoured: Bool) -> String {
        let percent = (supervisedShare * 1000).rounded() / 10
        var text =
            "\(sample.source.file):\(sample.source.row): \(sample.tokens.count) tokens, "
            + "\(sample.supervisedCount) of them learnt (\(percent) %)"
            + (isColoured ? ", in green\n" : ", marked […]\n")
        var start = 0
        while start < sample.tokens.count {
            let weight = sample.weights[start]
            let end = sample.weights[start...].firstIndex { $0 != weight } ?? sample.tokens.count
            text += marked(tokenizer.decode(sample.tokens[start..<end]), weight, isColoured)
            start = end
        }
        return text
    }

    private func marked(_ text: String, _ weight: Float, _ isColoured: Bool) -> String {
        // Control characters of the data must not steer the terminal.
        let safe = String(
            String.UnicodeScalarView(
                text.unicodeScalars.map {
                    $0.value < 0x20 && $0 != "\n" && $0 != "\t" || $0.value == 0x7F
                        || (0x80..<0xA0).contains($0.value) ? "\u{FFFD}" : $0
                }))
        guard weight != 0 else { return isColoured ? "\u{1B}[2m\(safe)\u{1B}[0m" : safe }
        let factor = weight == 1 ? "" : "×\(weight)"
        return isColoured
            ? "\u{1B}[32m\(safe)\u{1B}[0m\(factor)" : "[\(safe)]\(factor)"
    }
}
