import YuyanText

/// A stretch of an answer of one kind, as the dialects of messages and responses list them.
enum AnswerBlock: Hashable, Sendable {
    case reasoning(String)
    case text(String)
    case call(ToolCall)
}

/// Groups the parts of an answer into blocks: one is open at a time, and closed before the next.
struct BlockSequence: Sendable {
    /// What a part does to the blocks.
    enum Step: Hashable, Sendable {
        /// A block begins; it is empty but for a call's id and name.
        case open(Int, AnswerBlock)
        /// Text, or arguments, for the open block.
        case delta(Int, AnswerBlock, String)
        /// The block is complete.
        case close(Int, AnswerBlock)
    }

    /// All blocks so far, the last one maybe open.
    private(set) var blocks: [AnswerBlock] = []
    private var isOpen = false

    /// What the parts do, in order.
    mutating func push(_ parts: [AnswerPart]) -> [Step] {
        var steps: [Step] = []
        for part in parts {
            switch part {
            case .content(let text):
                if case .text(let before) = open {
                    blocks[blocks.count - 1] = .text(before + text)
                } else {
                    begin(.text(""), &steps)
                    blocks[blocks.count - 1] = .text(text)
                }
                steps.append(.delta(blocks.count - 1, .text(""), text))
            case .reasoning(let text):
                if case .reasoning(let before) = open {
                    blocks[blocks.count - 1] = .reasoning(before + text)
                } else {
                    begin(.reasoning(""), &steps)
                    blocks[blocks.count - 1] = .reasoning(text)
                }
                steps.append(.delta(blocks.count - 1, .reasoning(""), text))
            case .call(_, let id, let name):
                begin(.call(ToolCall(id: id, name: name, arguments: "")), &steps)
            case .arguments(_, let text):
                guard case .call(var call) = open else { continue }
                let head = call
                call.arguments += text
                blocks[blocks.count - 1] = .call(call)
                steps.append(
                    .delta(
                        blocks.count - 1,
                        .call(ToolCall(id: head.id, name: head.name, arguments: "")), text))
            }
        }
        return steps
    }

    /// Closes what is open.
    mutating func finish() -> [Step] {
        guard isOpen, let last = blocks.last else { return [] }
        isOpen = false
        return [.close(blocks.count - 1, last)]
    }

    private var open: AnswerBlock? { isOpen ? blocks.last : nil }

    private mutating func begin(_ block: AnswerBlock, _ steps: inout [Step]) {
        steps += finish()
        blocks.append(block)
        isOpen = true
        steps.append(.open(blocks.count - 1, block))
    }
}

extension CollectedAnswer.Sample {
    /// The sample's blocks: reasoning, text, calls.
    var blocks: [AnswerBlock] {
        var blocks: [AnswerBlock] = []
        if !reasoning.isEmpty { blocks.append(.reasoning(reasoning)) }
        if !content.isEmpty { blocks.append(.text(content)) }
        return blocks + calls.map { .call($0) }
    }
}
