import YuyanFormats

// Names that LLaMA-Factory or TRL give to one thing in one stage and to another in the next.

extension ForeignKeys {
    /// What a key means in a stage.
    enum StageMeaning: Hashable {
        /// It sets another key.
        case synonym(String)
        /// It is ignored, for this reason.
        case ignored(String)
        /// It would switch on this, which is not built.
        case missing(String)
    }

    /// Keys, without a field of that name, whose meaning depends on the stage.
    static let stageNames = ["max_length", "max_new_tokens", "repetition_penalty"]

    /// What a key with a value means in a stage, if that depends on the stage.
    static func meaning(
        of name: String, value: YAMLNode, in stage: Recipe.Stage
    ) -> StageMeaning? {
        let isWriting = stage.writesAnswers
        let writesNone = "stage \(stage.rawValue) writes no answers"
        switch name {
        case "max_length":
            // TRL's trainers of samples cut them to it; LLaMA-Factory generates up to it.
            return isWriting
                ? .ignored("max_completion_length bounds what is written") : .synonym("cutoff_len")
        case "max_new_tokens":
            return isWriting ? .synonym("max_completion_length") : .ignored(writesNone)
        case "repetition_penalty":
            guard isWriting else { return .ignored(writesNone) }
            return value.isNull || Double(value) == 1
                ? .ignored("1 is no penalty")
                : .missing(
                    "a penalty of repeated tokens, which would draw answers from another "
                        + "distribution than the one that learns,")
        case "loss_type": return lossMeaning(value, in: stage)
        default: return nil
        }
    }

    /// TRL's `loss_type` names losses of pairs, of verdicts and of policies.
    private static func lossMeaning(
        _ value: YAMLNode, in stage: Recipe.Stage
    ) -> StageMeaning? {
        let isPolicyLoss = Recipe.PolicyLossName(value) != nil
        switch stage {
        case .dpo, .cpo: return isPolicyLoss || value.isNull ? nil : .synonym("pref_loss")
        case .kto: return String(value) == "kto" ? .ignored("it is the loss of stage kto") : nil
        default: return nil
        }
    }
}
