/// Whether the completion is a sequence of tagged parts, such as `<think>…</think><answer>…</answer>`.
///
/// Each tag stands exactly once, in order, with nothing but white space outside. This is the format
/// reward of DeepSeek-AI, "DeepSeek-R1", arXiv:2501.12948, with its tags as settings; with partial
/// credit the score is the share of conditions that hold.
struct FormatReward: RewardFunction {
    let name: String
    var tags = ["think", "answer"]
    /// Whether the prompt has opened the first tag already.
    var isOpened = false
    /// Whether text may follow the last tag.
    var allowsTail = false
    /// Whether a part may be empty.
    var allowsEmpty = false
    var isPartial = false
    var correct = 1.0
    var wrong = 0.0

    init(name: String = "format") { self.name = name }

    func scores(_ completions: [ScoredCompletion]) -> [Double?] {
        completions.map { wrong + (correct - wrong) * share(of: $0.text) }
    }

    /// 1 if the format is right, else 0 or, with partial credit, the share of conditions that hold.
    func share(of text: String) -> Double {
        let bytes = Array(text.utf8)
        var conditions: [Bool] = []
        var order: [Range<Int>] = []
        for (index, tag) in tags.enumerated() {
            for marker in ["<\(tag)>", "</\(tag)>"] {
                if index == 0, isOpened, marker == "<\(tag)>" {
                    // A second opening is one too many.
                    conditions.append(Self.places(of: marker, in: bytes, most: 1).isEmpty)
                    order.append(0..<0)
                    continue
                }
                let places = Self.places(of: marker, in: bytes, most: 2)
                conditions.append(places.count == 1)
                if places.count == 1 { order.append(places[0]) }
            }
        }
        let isWhole = order.count == 2 * tags.count && conditions.allSatisfy { $0 }
        let isOrdered =
            isWhole && zip(order, order.dropFirst()).allSatisfy { $0.upperBound <= $1.lowerBound }
        conditions.append(isOrdered)
        conditions.append(isOrdered && hasNothingOutside(bytes, order))
        if !allowsEmpty {
            conditions.append(
                isOrdered
                    && stride(from: 0, to: order.count, by: 2).allSatisfy {
                        !Self.isBlank(bytes[order[$0].upperBound..<order[$0 + 1].lowerBound])
                    })
        }
        let met = conditions.filter { $0 }.count
        if met == conditions.count { return 1 }
        return isPartial ? Double(met) / Double(conditions.count) : 0
    }

    private func hasNothingOutside(_ bytes: [UInt8], _ order: [Range<Int>]) -> Bool {
        var place = 0
        for index in stride(from: 0, to: order.count, by: 2) {
            guard Self.isBlank(bytes[place..<order[index].lowerBound]) else { return false }
            place = order[index + 1].upperBound
        }
        return allowsTail || Self.isBlank(bytes[place...])
    }

    private static func isBlank(_ bytes: ArraySlice<UInt8>) -> Bool {
        bytes.allSatisfy { $0 == 0x20 || (0x09...0x0D).contains($0) }
    }

    /// The first places of a marker, which cannot overlap itself.
    private static func places(of marker: String, in bytes: [UInt8], most: Int) -> [Range<Int>] {
        let wanted = Array(marker.utf8)
        var found: [Range<Int>] = []
        var index = 0
        while index + wanted.count <= bytes.count, found.count < most {
            if bytes[index] == wanted[0],
                bytes[index..<index + wanted.count].elementsEqual(wanted)
            {
                found.append(index..<index + wanted.count)
                index += wanted.count
            } else {
                index += 1
            }
        }
        return found
    }
}

extension FormatReward: ConfiguredReward {
    static let kind = "format"

    init(_ settings: inout RewardSettings) throws(RecipeError) {
        self.init(name: settings.label)
        tags = try settings.value("tags", tags)
        let isUsable = tags.allSatisfy { tag in
            !tag.isEmpty && !tag.contains { "<>/ \n".contains($0) }
        }
        guard !tags.isEmpty, Set(tags).count == tags.count, isUsable else {
            throw settings.fault(
                "tags", "\(tags)",
                expected: "names without brackets, all different: [think, answer]")
        }
        isOpened = try settings.value("opened", isOpened)
        allowsTail = try settings.value("tail", allowsTail)
        allowsEmpty = try settings.value("empty", allowsEmpty)
        isPartial = try settings.value("partial", isPartial)
        correct = try settings.value("correct", correct)
        wrong = try settings.value("wrong", wrong)
    }
}
