import YuyanFormats

/// Finds calls of tools in an answer that arrives in pieces.
///
/// A call is given out as soon as its name is known, and its arguments as they come. What only
/// looks like a call (broken JSON, no name, a tool that nobody offered) stays content.
package struct ToolCallParser: Sendable {
    private enum Place { case outside, body, closing }

    private let format: ToolFormat
    private let names: Set<String>
    private let makeID: @Sendable () -> String
    private var place = Place.outside
    private var begin: MarkerFinder
    private var end: MarkerFinder
    private var walker: CallWalker
    /// White space that is content unless a call follows.
    private var space: [UInt8] = []
    /// The call's text so far, in case it is none.
    private var raw: [UInt8] = []
    private var isStarted = false
    /// Arguments that came before the name, or as a string.
    private var held: [UInt8] = []
    private(set) var callCount = 0

    /// Whether a call has begun.
    package var hasCalls: Bool { callCount > 0 }

    /// Whether a call has come to its end mark, and nothing but text since.
    package var hasClosedCall: Bool { hasCalls && place == .outside }

    /// - Parameters:
    ///   - names: The tools that were offered.
    ///   - makeID: Makes the id of a call.
    package init(
        format: ToolFormat, names: Set<String>, makeID: @escaping @Sendable () -> String
    ) {
        self.format = format
        self.names = names
        self.makeID = makeID
        begin = MarkerFinder(format.begin)
        end = MarkerFinder(format.end)
        walker = CallWalker(format)
    }

    /// Takes the next bytes.
    package mutating func push(_ bytes: [UInt8]) -> [AnswerPart] {
        var parts: [AnswerPart] = []
        var rest = bytes
        while !rest.isEmpty {
            switch place {
            case .outside:
                let (before, after) = begin.push(rest)
                content(before, isBeforeCall: after != nil, into: &parts)
                guard let after else { return parts }
                startBody()
                rest = after
            case .body: rest = walk(rest, into: &parts)
            case .closing:
                // Anything but the end marker is dropped with it: the call is complete.
                guard let after = end.push(rest).after else { return parts }
                place = .outside
                rest = after
            }
        }
        return parts
    }

    /// Ends the text; a call whose name is not known yet was none.
    package mutating func finish() -> [AnswerPart] {
        var parts: [AnswerPart] = []
        switch place {
        case .outside: content(begin.finish(), isBeforeCall: false, into: &parts)
        case .body: if !isStarted { giveUp(into: &parts) }
        case .closing: break
        }
        place = .outside
        return parts
    }

    private mutating func startBody() {
        place = .body
        raw = []
        held = []
        isStarted = false
        walker = CallWalker(format)
    }

    /// White space around calls is dropped.
    private mutating func content(
        _ bytes: [UInt8], isBeforeCall: Bool, into parts: inout [AnswerPart]
    ) {
        let all = space + bytes
        space = []
        let end = all.lastIndex { !$0.isSpace }.map { $0 + 1 } ?? 0
        if !isBeforeCall { space = Array(all[end...]) }
        var text = all[..<end]
        if hasCalls { text = text.drop { $0.isSpace } }
        if !text.isEmpty { parts.append(.content(String(decoding: text, as: UTF8.self))) }
    }

    private mutating func walk(_ bytes: [UInt8], into parts: inout [AnswerPart]) -> [UInt8] {
        var fragment: [UInt8] = []
        for (index, byte) in bytes.enumerated() {
            if !isStarted { raw.append(byte) }
            let step = walker.step(byte)
            switch step {
            case .more: break
            case .argument:
                if isStarted, !walker.argumentsAreText {
                    fragment.append(byte)
                } else {
                    held.append(byte)
                }
            case .name: start(into: &parts)
            case .end:
                flush(&fragment, into: &parts)
                start(into: &parts)
                guard isStarted else {
                    giveUp(into: &parts)
                    return Array(bytes[(index + 1)...])
                }
                close(into: &parts)
                return Array(bytes[(index + 1)...])
            case .broken:
                flush(&fragment, into: &parts)
                guard isStarted else {
                    giveUp(into: &parts)
                    return Array(bytes[(index + 1)...])
                }
                close(into: &parts)
                return Array(bytes[index...])
            }
        }
        flush(&fragment, into: &parts)
        return []
    }

    private func flush(_ fragment: inout [UInt8], into parts: inout [AnswerPart]) {
        if fragment.isEmpty { return }
        parts.append(
            .arguments(index: callCount - 1, String(decoding: fragment, as: UTF8.self)))
        fragment.removeAll()
    }

    private mutating func giveHeld(into parts: inout [AnswerPart]) {
        var arguments = held
        held = []
        flush(&arguments, into: &parts)
    }

    /// Gives out the call's head, once its name is known and one that was offered.
    private mutating func start(into parts: inout [AnswerPart]) {
        guard !isStarted, let name = walker.name, names.contains(name) else { return }
        isStarted = true
        parts.append(.call(index: callCount, id: makeID(), name: name))
        callCount += 1
        if !held.isEmpty, !walker.argumentsAreText {
            giveHeld(into: &parts)
        }
    }

    private mutating func close(into parts: inout [AnswerPart]) {
        if walker.argumentsAreText {
            held = Self.unquoted(held)
        } else if !walker.hasArguments {
            held = Array("{}".utf8)
        }
        giveHeld(into: &parts)
        place = .closing
        end = MarkerFinder(format.end)
    }

    private mutating func giveUp(into parts: inout [AnswerPart]) {
        place = .outside
        // An end marker that follows is content as well.
        content(Array(format.begin.utf8) + raw, isBeforeCall: false, into: &parts)
        raw = []
        held = []
    }

    /// Some models write the arguments as a string that holds JSON.
    private static func unquoted(_ text: [UInt8]) -> [UInt8] {
        guard let document = try? JSONDocument(bytes: text, name: "arguments"),
            let inner = document.root.string
        else { return text }
        return Array(inner.utf8)
    }
}
