import YuyanText

/// A set of questions in a local file, and how a model's answers to them are scored.
///
/// The rules are those of EleutherAI's lm-eval (version 0.4): what is put together to a prompt, how
/// context and continuation are cut into tokens, which answer counts.
public struct EvaluationTask: Sendable {
    /// What is asked of the model.
    public enum Kind: String, CaseIterable, Sendable {
        /// Which of several continuations is the likeliest.
        case choice
        /// How likely one continuation is.
        case continuation
        /// To write an answer, which has to be equal to the right one.
        case generate
        /// How likely a whole text is.
        case text
    }

    /// What the rows look like decides if this is nil.
    public var kind: Kind?
    /// The prompt: a column, or a Jinja template over the columns; nil for the first usual name.
    public var docToText: String?
    /// The choices: a column with a list, or a JSON list of templates.
    public var docToChoice: String?
    /// The right answer: a column or a template; an index, a letter or the text of a choice.
    public var docToTarget: String?
    /// Put before every prompt.
    public var description = ""
    /// Between prompt and continuation.
    public var targetDelimiter = " "
    /// Whether the prompt becomes a user's message in the model's chat format.
    public var appliesChatTemplate = false
    /// The system's message then.
    public var systemInstruction: String?
    /// Texts that end an answer, beside the model's own end.
    public var until = ["\n\n"]
    /// Most tokens of an answer.
    public var maxGenToks = 256
    /// How a written answer is compared.
    public var match = AnswerMatch()

    /// Everything as lm-eval has it if a task says nothing.
    public init() {}

    static let textColumns = [
        "question", "query", "prompt", "context", "ctx", "start", "instruction", "input", "text",
    ]
    static let choiceColumns = ["choices", "endings", "options"]
    static let targetColumns = [
        "answer", "target", "label", "gold", "right", "answerKey", "continuation", "completion",
        "output",
    ]
}

/// How a written answer becomes what is compared, and when two are equal.
public struct AnswerMatch: Sendable {
    /// Picks a part of the answer; nil takes all of it.
    public var pattern: String?
    /// Which of its matches, from 0; negative ones count from the last, -1.
    public var groupSelect = 0
    /// What an answer without a match becomes.
    public var fallback = "[invalid]"
    /// Whether letters are compared without their case.
    public var ignoresCase = false
    /// Whether ASCII punctuation is left out.
    public var ignoresPunctuation = false

    /// Compares whole answers, letter by letter.
    public init() {}

    /// The part of an answer that is compared: `re.findall` and its first non-empty group.
    ///
    /// - Throws: `EvaluationTaskError.pattern` if the pattern is none.
    func filtered(_ answer: String) throws(EvaluationTaskError) -> String {
        guard let pattern else { return answer }
        let expression: Regex<AnyRegexOutput>
        do {
            // Python compares code points, not characters with their accents.
            expression = try Regex(pattern).matchingSemantics(.unicodeScalar)
        } catch {
            throw .pattern(pattern, reason: "\(error)")
        }
        let matches = answer.matches(of: expression)
        let index = groupSelect < 0 ? matches.count + groupSelect : groupSelect
        guard matches.indices.contains(index) else { return fallback }
        let output = matches[index].output
        let found: Substring?
        switch output.count {
        case 1: found = output[0].substring
        case 2: found = output[1].substring ?? ""
        default:
            found = (1..<output.count).lazy.compactMap { output[$0].substring }
                .first { !$0.isEmpty }
        }
        return found.map(stripped) ?? fallback
    }

    /// Whether an answer that was filtered is this one.
    func isEqual(_ answer: String, to target: String) -> Bool {
        plain(answer).utf8.elementsEqual(plain(target).utf8)
    }

    private func plain(_ text: String) -> String {
        var text = ignoresCase ? text.lowercased() : text
        if ignoresPunctuation {
            text.unicodeScalars.removeAll { scalar in
                scalar.isASCII && (33...126).contains(scalar.value)
                    && !(scalar.properties.isAlphabetic || (48...57).contains(scalar.value))
            }
        }
        return text
    }
}

/// Without white space at both ends.
func stripped(_ text: some StringProtocol) -> String {
    var scalars = Substring(text).unicodeScalars
    while scalars.first?.properties.isWhitespace == true { scalars.removeFirst() }
    while scalars.last?.properties.isWhitespace == true { scalars.removeLast() }
    return String(scalars)
}

/// A task that cannot be run as its file or its settings say.
public enum EvaluationTaskError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A line of the file is not what the task needs.
    case row(file: String, line: Int, what: String)
    /// The file has no rows.
    case empty(file: String)
    /// A template does not parse.
    case template(option: String, reason: String)
    /// A regular expression does not parse.
    case pattern(String, reason: String)
    /// The model has no chat template.
    case noChatTemplate

    /// Where, what is wrong and what to try.
    public var description: String {
        switch self {
        case .row(let file, let line, let what): "\(file):\(line): \(what)"
        case .empty(let file): "\(file): no rows; expected one JSON object a line"
        case .template(let option, let reason): "\(option): \(reason)"
        case .pattern(let pattern, let reason): "--regex '\(pattern)': \(reason)"
        case .noChatTemplate:
            "the model has no chat template; leave --apply-chat-template out"
        }
    }
}
