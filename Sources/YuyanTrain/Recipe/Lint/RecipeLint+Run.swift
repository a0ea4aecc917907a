extension RecipeLint {
    /// Data, and what a run keeps.
    static let runRules: [LintRule] = [
        LintRule(
            "packing-cut", "cutoff_len packing",
            when: "conversations are packed into rows of fewer than 512 tokens",
            why:
                "a sample must fit into a row, so long ones are cut, and short rows have little room "
                + "to fill",
            advice: "take cutoff_len: 1024 or more, or no packing"
        ) { $0.isPacked && $0.stage != .pt && $0.recipe.data.cutoffLength < 512 },
        LintRule(
            "beyond-context", "cutoff_len",
            when: "samples are longer than the model's context",
            why: "it has never seen such positions, and learns from noise there",
            advice: "lower cutoff_len to the context"
        ) { subject in
            guard let context = subject.facts.contextLength else { return false }
            let longest = subject.facts.longest ?? subject.recipe.data.cutoffLength
            return subject.recipe.data.cutoffLength > context && longest > context
        },
        LintRule(
            "many-epochs", "num_train_epochs max_steps",
            when:
                "fewer than 1000 samples are shown more than 5 times, and no evaluation decides what "
                + "is kept",
            why:
                "they are learnt by heart; even in pretraining up to four passes are nearly as good as "
                + "new data, and every further one is worth less (arXiv:2305.16264)",
            advice: "take 1 to 3 epochs, or load_best_model_at_end with val_size"
        ) { subject in
            guard let samples = subject.facts.samples, let epochs = subject.facts.epochs,
                !subject.writesAnswers
            else { return false }
            let run = subject.recipe.run
            return samples < 1000 && epochs > 5 && !run.loadsBest && run.earlyStoppingSteps == nil
        },
        LintRule(
            "early-stop-result", "early_stopping_steps load_best_model_at_end",
            when: "a run that ends when it gets no better saves its last step",
            why: "that is the one that was no better: several evaluations past the best",
            advice: "take load_best_model_at_end: true"
        ) { $0.recipe.run.earlyStoppingSteps != nil && !$0.recipe.run.loadsBest },
        LintRule(
            "unsaved", "save_steps save_strategy",
            when: "a run of more than 200 steps keeps no checkpoint before its end",
            why: "whatever ends it early takes all of it",
            advice: "take a tenth of the steps as save_steps"
        ) { subject in
            guard let steps = subject.facts.steps, steps > 200 else { return false }
            let run = subject.recipe.run
            return run.saveStrategy == .no || run.saveStrategy == .steps && run.saveSteps >= steps
        },
    ]
}
