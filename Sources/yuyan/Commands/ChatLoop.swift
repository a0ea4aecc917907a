import YuyanEngine
import YuyanFormats
import YuyanTensor
import YuyanText

/// A line that a person types in chat.
enum ChatInput: Equatable {
    case message(String)
    case reset
    case system(String)
    case save(String)
    case stats
    case help
    case quit
    case unknown(String)
    case nothing

    init(_ line: String) {
        guard line.first == "/" else {
            self = line.allSatisfy(\.isWhitespace) ? .nothing : .message(line)
            return
        }
        guard !line.hasPrefix("//") else {
            self = .message(String(line.dropFirst()))
            return
        }
        let name = line.prefix { !$0.isWhitespace }
        let rest = line.dropFirst(name.count).drop { $0.isWhitespace }
        let argument = String(rest.reversed().drop { $0.isWhitespace }.reversed())
        self =
            switch (name, argument.isEmpty) {
            case ("/reset", true): .reset
            case ("/system", _): .system(argument)
            case ("/save", false): .save(argument)
            case ("/stats", true): .stats
            case ("/help", true): .help
            case ("/quit", true), ("/exit", true): .quit
            default: .unknown(String(name))
            }
    }

    static let list = """
          /reset         forget the conversation
          /system TEXT   set the system message; without TEXT, drop it
          /save FILE     write the conversation as JSON, as `yuyan chat --json` reads it
          /stats         sizes of context, cache and memory
          /help          this list
          /quit          end, as Ctrl-D does
          //TEXT         a message that starts with a slash
        """
}

/// Answers lines one by one: messages by the model, commands itself.
struct ChatLoop {
    let conversation: Conversation
    /// Receives the model's words as they come.
    let show: (String) -> Void
    /// Receives everything else, a line at a time.
    let report: (String) -> Void

    /// Whether there is more to come.
    mutating func handle(_ line: String) throws -> Bool {
        switch ChatInput(line) {
        case .nothing: break
        case .quit: return false
        case .help: report(ChatInput.list)
        case .reset:
            conversation.reset()
            report("[the conversation is forgotten]")
        case .system(let text):
            conversation.system = text.isEmpty ? nil : text
            report(text.isEmpty ? "[no system message]" : "[the system message is set]")
        case .save(let path): save(path)
        case .stats: report(stats)
        case .unknown(let name):
            report("[\(name.printable) cannot be used like this; /help lists the commands]")
        case .message(let text): try answer(text)
        }
        return true
    }

    private func answer(_ text: String) throws {
        do {
            let answer = try conversation.say(text, show)
            show("\n")
            if answer.isStopped {
                report("[stopped]")
            } else if answer.isContextFull {
                report("[cut: the context of \(limit) tokens is full; \(Self.remedy)]")
            } else if answer.generation.finish == .length {
                report("[cut at --max-tokens]")
            }
            report(answer.summary)
        } catch GenerationError.contextExceeded(let tokens, let limit) {
            report(
                "[no answer: the conversation has \(tokens) tokens, the context holds \(limit); "
                    + "\(Self.remedy)]")
        } catch let error as TemplateError {
            report("[no answer: \(error)]")
        }
    }

    private static let remedy = "/reset forgets it, or start again with a larger --context"

    private var limit: Int { conversation.session.contextLimit }

    private func save(_ path: String) {
        let messages = conversation.messages.map { message -> JSONOutput in
            ["role": .string(message.role), "content": .string(message.content)]
        }
        let json: JSONOutput = ["messages": .array(messages)]
        do {
            try writeAtomically(path) { sink in try sink.write(json.description + "\n") }
            report("[\(messages.count) messages saved to \(path.printable)]")
        } catch {
            report("[not saved: \(error)]")
        }
    }

    private var stats: String {
        let cached = conversation.session.cachedTokens.count
        var table = Table()
        table.add("turns", "\(conversation.turns.count)")
        table.add("context", "\(cached) of \(limit) tokens")
        table.add("cache", conversation.session.cache.allocatedBytes.memorySize)
        table.add("peak memory", Machine.peakResidentBytes.memorySize)
        return String(table.text.dropLast())
    }
}
