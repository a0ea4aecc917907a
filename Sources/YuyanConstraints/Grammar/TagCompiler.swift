extension GrammarBuilder {
    /// The most white space between tags where nothing else may stand there.
    private static let betweenTags = 2
    /// The matcher's size grows with the square.
    private static let longestBegin = 1000

    /// A rule for tagged pieces; see `ConstraintSource.tagged`.
    ///
    /// - Parameter bodies: The rules of the tags' bodies.
    mutating func tagged(
        _ tags: [ConstraintTag], bodies: [Int32], free: Bool, atLeastOne: Bool, atMostOne: Bool
    ) throws(ConstraintError) -> Int32 {
        guard !tags.isEmpty else { throw .empty(place: "tags") }
        for tag in tags where tag.begin.utf8.count > Self.longestBegin {
            throw .tooLarge(
                place: "tag '\(tag.begin.prefix(20))'", what: "bytes before the body",
                limit: Self.longestBegin)
        }
        let rule = try rule("tagged")
        let rests = try tags.indices.map { index throws(ConstraintError) in
            guard !tags[index].begin.isEmpty else {
                throw .empty(place: "the beginning of tag \(index)")
            }
            return try self.rule(
                "tag",
                .sequence([
                    Self.space(tags[index].space), .rule(bodies[index]), .text(tags[index].end),
                ]))
        }
        let accept = accept(rule)
        let after = try state()
        if free {
            let start = try freeText(tags, rests, after: after)
            skip(entry(rule), start.first)
            if !atLeastOne {
                for state in start.boundaries { skip(state, accept) }
            }
            if atMostOne {
                skip(after, accept)
            } else {
                let more = try freeText(tags, rests, after: after)
                skip(after, more.first)
                for state in more.boundaries { skip(state, accept) }
            }
            return rule
        }
        let start = try state()
        skip(entry(rule), start)
        for (index, tag) in tags.enumerated() {
            let begun = try state()
            try literal(Array(tag.begin.utf8), from: start, to: begun)
            call(begun, rests[index], after)
        }
        if !atLeastOne { skip(start, accept) }
        skip(after, accept)
        if !atMostOne {
            try emit(Self.space(Self.betweenTags), from: after, to: start)
        }
        return rule
    }

    private static func space(_ most: Int) -> Pattern {
        .repeated(
            .characters(CodePointSet([0x0A...0x0A, 0x20...0x20])), minimum: 0, maximum: most)
    }

    /// Text without any `begin`, leading to `after` by way of the tags.
    ///
    /// The states are those of Aho and Corasick's matcher, which know the longest part of a `begin`
    /// that the text ends with, times those of UTF-8.
    private mutating func freeText(
        _ tags: [ConstraintTag], _ rests: [Int32], after: Int32
    ) throws(ConstraintError) -> (first: Int32, boundaries: [Int32]) {
        let matcher = TagMatcher(tags.map { Array($0.begin.utf8) })
        var numbers: [Int: Int32] = [:]
        var boundaries: [Int32] = []
        var work: [(place: Int, step: Int)] = []
        func key(_ place: Int, _ step: Int) -> Int { place * UTF8Steps.count + step }
        let first = try state()
        numbers[key(0, 0)] = first
        work.append((0, 0))
        boundaries.append(first)
        while let (place, step) = work.popLast() {
            let from = numbers[key(place, step)] ?? first
            var byte = 0
            while byte < 256 {
                guard let nextStep = UTF8Steps.next(step, UInt8(byte)) else {
                    byte += 1
                    continue
                }
                let next = matcher.next(place, UInt8(byte))
                var end = byte
                while end < 255, UTF8Steps.next(step, UInt8(end + 1)) == nextStep,
                    matcher.next(place, UInt8(end + 1)) == next
                {
                    end += 1
                }
                let number = key(next, nextStep)
                if let to = numbers[number] {
                    edge(from, UInt8(byte)...UInt8(end), to)
                } else {
                    let to = try state()
                    numbers[number] = to
                    edge(from, UInt8(byte)...UInt8(end), to)
                    let found = matcher.found(next)
                    if found.isEmpty {
                        work.append((next, nextStep))
                        if nextStep == 0 { boundaries.append(to) }
                    } else {
                        for tag in found { call(to, rests[tag], after) }
                        for (tag, rest) in matcher.longer(than: next) {
                            let begun = try state()
                            try literal(rest, from: to, to: begun)
                            call(begun, rests[tag], after)
                        }
                    }
                }
                byte = end + 1
            }
        }
        return (first, boundaries)
    }
}

/// Finds the beginnings of tags in a text, as Aho and Corasick do (CACM 18, 1975).
private struct TagMatcher {
    private let texts: [[UInt8]]
    private var children: [[UInt8: Int]] = [[:]]
    private var failures: [Int] = [0]
    private var outputs: [[Int]] = [[]]
    /// The text that leads to each node.
    private var paths: [[UInt8]] = [[]]

    init(_ texts: [[UInt8]]) {
        self.texts = texts
        for (index, text) in texts.enumerated() {
            var node = 0
            for byte in text {
                if let child = children[node][byte] {
                    node = child
                } else {
                    children.append([:])
                    failures.append(0)
                    outputs.append([])
                    paths.append(paths[node] + [byte])
                    children[node][byte] = children.count - 1
                    node = children.count - 1
                }
            }
            outputs[node].append(index)
        }
        var queue = Array(children[0].values)
        var position = 0
        while position < queue.count {
            let node = queue[position]
            position += 1
            for (byte, child) in children[node] {
                failures[child] = next(failures[node], byte)
                outputs[child] += outputs[failures[child]]
                queue.append(child)
            }
        }
    }

    func next(_ node: Int, _ byte: UInt8) -> Int {
        var node = node
        while true {
            if let child = children[node][byte] { return child }
            if node == 0 { return 0 }
            node = failures[node]
        }
    }

    /// The texts that end at a node.
    func found(_ node: Int) -> [Int] { outputs[node] }

    /// Texts of which a node is only the first part, and what they go on with.
    func longer(than node: Int) -> [(text: Int, rest: [UInt8])] {
        texts.indices.compactMap { index in
            guard texts[index].count > paths[node].count, texts[index].starts(with: paths[node])
            else { return nil }
            return (index, Array(texts[index].dropFirst(paths[node].count)))
        }
    }
}
