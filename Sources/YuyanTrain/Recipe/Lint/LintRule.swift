/// A combination of settings that is known to fail.
struct LintRule: Sendable {
    /// Unique; recipes silence it by this.
    let name: String
    /// The keys that it looks at, the one to change first.
    let keys: [String]
    /// When it applies, for the message and the documentation.
    let condition: String
    /// Why that fails, with the paper where there is one.
    let reason: String
    /// What to do instead.
    let advice: String
    /// Whether a recipe falls under it.
    let applies: @Sendable (LintSubject) -> Bool

    /// - Parameter keys: Separated by spaces.
    init(
        _ name: String, _ keys: String, when condition: String, why reason: String,
        advice: String, _ applies: @escaping @Sendable (LintSubject) -> Bool
    ) {
        self.name = name
        self.keys = keys.split(separator: " ").map(String.init)
        self.condition = condition
        self.reason = reason
        self.advice = advice
        self.applies = applies
    }
}
