"""How transformers' Trainer counts steps, for Sources/YuyanTrain/Run/StepPlan.swift.

Run from the root of the repository: python Tools/goldens/trainer_steps.py
Writes Tests/Goldens/formats/trainer_steps.txt; a line is
  BATCHES ACCUMULATION EPOCHS MAX_STEPS STEPS EPOCHS_BEGUN
"""
from pathlib import Path
from types import SimpleNamespace

from transformers import Trainer

OUT = Path(__file__).resolve().parents[2] / "Tests/Goldens/formats/trainer_steps.txt"
stub = SimpleNamespace(
    get_total_train_batch_size=lambda args: 1, get_sp_size=lambda: 1, num_examples=len)
lines = []
for batches in [1, 2, 5, 7, 8, 32, 33, 1000]:
    for accumulation in [1, 2, 3, 8, 64]:
        for epochs, limit in [(3.0, -1), (1.0, -1), (0.5, -1), (2.3, -1), (0.01, -1), (3.0, 1),
                              (3.0, 12), (1.0, 100)]:
            args = SimpleNamespace(
                max_steps=limit, num_train_epochs=epochs,
                gradient_accumulation_steps=accumulation)
            found = Trainer.set_initial_training_values(stub, args, [None] * batches)
            lines.append(f"{batches} {accumulation} {epochs} {limit} {found[6]} {found[0]}\n")
OUT.write_text("".join(lines))
print(len(lines), "cases")
