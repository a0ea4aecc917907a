import YuyanFormats

/// Settings that are known to fail together, said before a run starts; they never stop it.
///
/// What cannot be run at all is refused by `Recipe.check`. Here is what can be run and is seldom
/// meant. A rule is one entry of a table, and docs/lint.md is made from the tables.
public enum RecipeLint {
    /// A rule that a recipe falls under.
    public struct Warning: Sendable, Hashable, CustomStringConvertible {
        /// The rule's name, which `lint_ignore` takes.
        public let name: String
        /// The keys that it looks at, with their values, such as `pref_beta: 0.1`.
        public let settings: [Setting]
        /// What was found.
        public let condition: String
        /// Why that fails.
        public let reason: String
        /// What to do instead.
        public let advice: String

        /// A key with its value.
        public struct Setting: Sendable, Hashable {
            /// As recipes spell it.
            public let key: String
            /// As the resolved recipe has it.
            public let value: String
        }

        /// One line: rule, settings, what was found, why, and what to do.
        public var description: String {
            let found = settings.map { "\($0.key): \($0.value.isEmpty ? "nothing" : $0.value)" }
            return "lint '\(name)' (\(found.joined(separator: ", "))): \(condition): \(reason); "
                + "\(advice), or lint_ignore: [\(name)]"
        }
    }

    /// All rules, by what they are about.
    static let rules: [LintRule] =
        optimisationRules + preferenceRules + reinforcementRules + rewardRules + runRules

    /// The rules that a recipe falls under, but for those that it ignores.
    ///
    /// - Parameter facts: What is known of data and model; rules that need more say nothing.
    static func warnings(_ recipe: Recipe, _ facts: LintFacts = LintFacts()) -> [Warning] {
        let subject = LintSubject(recipe: recipe, facts: facts)
        return rules.filter { rule in
            !recipe.run.ignoredRules.contains(rule.name) && rule.applies(subject)
        }.map { rule in
            Warning(
                name: rule.name,
                settings: rule.keys.map { key in
                    let node = Recipe.keysByName[key]?.node(recipe)
                    return Warning.Setting(
                        key: key, value: node.map { $0.isNull ? "" : $0.inline } ?? "")
                },
                condition: rule.condition, reason: rule.reason, advice: rule.advice)
        }
    }

    /// Refuses names of rules that do not exist.
    static func check(_ recipe: Recipe, file: String) throws(RecipeError) {
        let names = rules.map(\.name)
        for name in recipe.run.ignoredRules where !names.contains(name) {
            let nearest = nearestNames(to: name, in: names)
            throw .badValue(
                place: file, key: "lint_ignore", found: "'\(name)'",
                expected: "names of rules in docs/lint.md"
                    + (nearest.isEmpty ? "" : "; nearest: \(nearest.joined(separator: ", "))"))
        }
    }
}
