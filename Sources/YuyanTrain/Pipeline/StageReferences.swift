import YuyanFormats

/// Puts the folders of earlier stages in place of `${NAME}`.
struct StageReferences {
    /// Stages that come before, in order.
    let earlier: [(name: String, folder: String)]
    /// The stage itself and those behind it.
    let later: [String]
    let environment: (String) -> String?
    /// What was taken, in the order of the keys.
    private(set) var uses: [Use] = []

    /// A key that takes from an earlier stage.
    struct Use: Sendable, Hashable {
        /// Its place among the stages.
        let stage: Int
        let key: String
        let place: String
        /// Whether the folder itself is meant, not something in it.
        let isFolder: Bool
    }

    init(
        earlier: [(name: String, folder: String)], later: [String],
        environment: @escaping (String) -> String?
    ) {
        self.earlier = earlier
        self.later = later
        self.environment = environment
    }

    /// A setting with folders in it, wherever its value names stages.
    ///
    /// Environment variables in paths are left for the recipe, and so is `$${` there, which stands for
    /// `${`; in other keys it is that already.
    ///
    /// - Throws: `PipelineError.unknownReference`.
    mutating func resolved(_ setting: RecipeSetting) throws(PipelineError) -> RecipeSetting {
        var result = setting
        result.value = try resolved(setting.value, setting)
        return result
    }

    private mutating func resolved(
        _ node: YAMLNode, _ setting: RecipeSetting
    ) throws(PipelineError) -> YAMLNode {
        switch node {
        case .scalar(let text, let isQuoted, let line):
            return .scalar(try resolved(text, setting), isQuoted: isQuoted, line: line)
        case .sequence(let items, let line):
            var result: [YAMLNode] = []
            for item in items { result.append(try resolved(item, setting)) }
            return .sequence(result, line: line)
        case .mapping(let entries, let line):
            var result: [YAMLNode.Entry] = []
            for entry in entries {
                result.append(
                    YAMLNode.Entry(
                        key: entry.key, value: try resolved(entry.value, setting),
                        line: entry.line))
            }
            return .mapping(result, line: line)
        }
    }

    private mutating func resolved(
        _ text: String, _ setting: RecipeSetting
    ) throws(PipelineError) -> String {
        let isPath = Recipe.pathKeys.contains(setting.key)
        var result = ""
        var rest = text[...]
        while let start = rest.firstRange(of: "${") {
            let before = rest[..<start.lowerBound]
            if before.last == "$" {
                result += isPath ? before : before.dropLast()
                result += "${"
                rest = rest[start.upperBound...]
                continue
            }
            guard let end = rest[start.upperBound...].firstIndex(of: "}") else { break }
            let name = String(rest[start.upperBound..<end])
            if let stage = earlier.firstIndex(where: { $0.name == name }) {
                let folder = earlier[stage].folder
                result += before
                result += isPath ? folder.replacing("${", with: "$${") : folder
                uses.append(
                    Use(
                        stage: stage, key: setting.key, place: setting.place,
                        isFolder: text == "${\(name)}" || text == "${\(name)}/"))
            } else if isPath, !later.contains(name), environment(name) != nil {
                result += rest[...end]
            } else {
                throw .unknownReference(
                    place: setting.place, key: setting.key, name: name,
                    isLater: later.contains(name), isPath: isPath,
                    nearest: nearestNames(to: name, in: earlier.map(\.name)))
            }
            rest = rest[rest.index(after: end)...]
        }
        return result + rest
    }
}
