import TestSupport
import Testing

@testable import YuyanNN

@Suite("Table of optimisers")
struct OptimizerTableTests {
    @Test("makes what each name says")
    func names() throws {
        #expect(Set(optimizerNames).count == optimizerNames.count)
        let settings = OptimizerSettings(beta1: 0.8, beta2: 0.9, epsilon: 1e-5, momentum: 0.7)
        for name in optimizerNames {
            let configuration = try settings.configuration(of: name)
            #expect(configuration.isPaged == name.hasPrefix("paged"))
            #expect((configuration.statePrecision == .dynamic8) == name.hasSuffix("8bit"))
            if name.contains("adamw") {
                let rule = try #require(configuration.rule as? AdamW)
                #expect(rule.beta1 == 0.8 && rule.beta2 == 0.9 && rule.epsilon == 1e-5)
            } else if name.contains("lion") {
                let rule = try #require(configuration.rule as? Lion)
                #expect(rule.beta1 == 0.8 && rule.beta2 == 0.9)
            } else {
                #expect((configuration.rule as? SGD)?.momentum == 0.7)
            }
        }
    }

    @Test("names the nearest optimiser to an unknown one")
    func unknown() {
        #expect {
            _ = try OptimizerSettings().configuration(of: "adamw_8bits")
        } throws: {
            guard case OptimizerError.unknownOptimizer("adamw_8bits", let nearest) = $0 else {
                return false
            }
            return nearest.first == "adamw_8bit" && "\($0)".contains("paged_adamw_8bit")
        }
    }

    @Test(
        "refuses numbers outside of their ranges",
        arguments: [
            ("adam_beta1", OptimizerSettings(beta1: 1)),
            ("adam_beta1", OptimizerSettings(beta1: .nan)),
            ("adam_beta2", OptimizerSettings(beta2: -0.1)),
            ("adam_epsilon", OptimizerSettings(epsilon: -1)),
            ("adam_epsilon", OptimizerSettings(epsilon: .infinity)),
            ("momentum", OptimizerSettings(momentum: -0.5)),
            ("nesterov", OptimizerSettings(isNesterov: true)),
            ("nesterov", OptimizerSettings(momentum: 0.9, dampening: 0.1, isNesterov: true)),
        ])
    func ranges(_ name: String, _ settings: OptimizerSettings) {
        #expect {
            _ = try settings.configuration(of: "sgd")
        } throws: {
            guard case OptimizerError.badSetting(name, _, _) = $0 else { return false }
            return true
        }
    }
}
