import YuyanFormats

/// One key of a recipe: its name, type, documentation, and how it is read and written.
public struct RecipeKey: Sendable {
    /// What changing a key means for a run that has begun.
    public enum Resumption: String, Sendable {
        /// The steps done so far would have been others.
        case fixed
        /// Changes where the run ends, or what it reports and keeps, never a step that was done.
        case free
    }

    /// As recipes spell it.
    public let name: String
    /// What it does, in one line.
    public let help: String
    /// What its values look like.
    public let expectation: String
    /// Whether a run that has begun may change it.
    public let resumption: Resumption
    /// The value of a recipe, and of a recipe that sets nothing.
    let node: @Sendable (Recipe) -> YAMLNode
    /// Sets the value; false if the node has another type.
    let set: @Sendable (inout Recipe, YAMLNode) -> Bool

    init<Value: RecipeValue>(
        _ name: String, _ path: any WritableKeyPath<Recipe, Value> & Sendable,
        _ resumption: Resumption, _ help: String
    ) {
        self.name = name
        self.help = help
        self.resumption = resumption
        expectation = Value.expectation
        node = { $0[keyPath: path].node }
        set = { recipe, node in
            guard let value = Value(node) else { return false }
            recipe[keyPath: path] = value
            return true
        }
    }

    /// A key that a resumed run may not change.
    init<Value: RecipeValue>(
        _ name: String, _ path: any WritableKeyPath<Recipe, Value> & Sendable, _ help: String
    ) {
        self.init(name, path, .fixed, help)
    }

    /// The value of a recipe that sets nothing, as it would be written; empty for nothing.
    public var defaultText: String {
        let value = node(Recipe())
        return value.isNull ? "" : value.inline
    }

    /// Whether a flag may stand without a value.
    var isSwitch: Bool { expectation.hasPrefix(Bool.expectation) }
}

extension Recipe {
    /// All keys, in the order in which a resolved recipe lists them.
    public static let keys: [RecipeKey] =
        modelKeys + dataKeys + methodKeys + alignmentKeys + samplingKeys + optimisationKeys
        + runKeys

    static let keysByName = Dictionary(uniqueKeysWithValues: keys.map { ($0.name, $0) })
}
