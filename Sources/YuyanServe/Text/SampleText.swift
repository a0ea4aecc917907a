import YuyanEngine
import YuyanText

/// Turns the ids of one sample into text that may be shown, and looks for stop strings in it.
struct SampleText: Sendable {
    private let tokenizer: Tokenizer
    private let ends: Set<Int32>
    private let showsEnd: Bool
    private var decoder: StreamDecoder
    private var matcher: StopMatcher

    /// - Parameters:
    ///   - parameters: Stop strings and stop tokens.
    ///   - skipSpecial: Whether special tokens write nothing.
    init(_ parameters: SamplingParameters, tokenizer: Tokenizer, skipSpecial: Bool) {
        self.tokenizer = tokenizer
        decoder = tokenizer.streamDecoder(skipSpecial: skipSpecial)
        matcher = StopMatcher(parameters.stop, includeStop: parameters.includeStop)
        var ends = Set(parameters.stopTokens)
        if !parameters.ignoreEndOfSequence { ends.formUnion(tokenizer.endOfGeneration) }
        self.ends = ends
        showsEnd = parameters.includeStop
    }

    /// Takes the next token; a stop string in the release ends the sample.
    mutating func append(_ token: Int32) -> StopMatcher.Release {
        // A token that ends the answer is no part of its text.
        let isHidden = ends.contains(token) && !showsEnd
        return matcher.push(isHidden ? "" : decoder.append(token))
    }

    /// What was held back, at the end of the sample.
    mutating func finish() -> String {
        let release = matcher.push(decoder.finish())
        return release.text + matcher.finish()
    }
}
