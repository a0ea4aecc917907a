extension MemoryPrediction {
    /// What to say before a run that will not fit; nil if it fits, or if nobody knows.
    ///
    /// - Parameters:
    ///   - reachable: Bytes that the process could hold; nil where the system does not tell.
    ///   - checkpointing: Whether layers are computed again already.
    func shortage(of reachable: Int?, _ recipe: Recipe, checkpointing: Bool) -> String? {
        guard let reachable, total > reachable else { return nil }
        let helps = Self.savings(recipe, checkpointing: checkpointing)
        return "memory: \(total.binarySize)\(isUpperBound ? " at most" : "") are predicted and "
            + "\(reachable.binarySize) are available, so the system may end the run; what helps: "
            + helps.joined(separator: ", ")
    }

    /// Settings that take less memory and are not chosen yet.
    private static func savings(_ recipe: Recipe, checkpointing: Bool) -> [String] {
        var found: [String] = []
        if recipe.run.doesTrain {
            if recipe.method.type != .lora {
                found.append("finetuning_type: lora with quantization_bit: 4")
            } else if recipe.model.quantizationBits == nil {
                found.append("quantization_bit: 4")
            }
            if !recipe.optimisation.optimizer.hasPrefix("paged_") {
                found.append("optim: paged_adamw_32bit, whose state is on disk")
            }
            if !checkpointing { found.append("gradient_checkpointing: true") }
        }
        return found + ["a smaller cutoff_len"]
    }
}
