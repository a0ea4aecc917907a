#!/usr/bin/env python3
"""A fine-tuning step as PyTorch, transformers and peft do it on a CPU, timed.

    peer.py --model SmolLM2-f32 --rows rows.json --method lora|full --steps 3 --threads 2

The rows are `[{"tokens": [...], "weights": [...]}]`, what `yuyan train` computes too; a batch is
padded to its longest row, as every collator does. Prints one JSON object: seconds a step, tokens
that are not padding, and where the time went. The model is a folder of transformers.
"""

import argparse
import json
import os
import statistics
import time


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", required=True)
    add("--rows", required=True)
    add("--method", choices=["lora", "full"], default="lora")
    add("--batch", type=int, default=4)
    add("--steps", type=int, default=3, help="timed steps, after one that is not")
    add("--threads", type=int, default=2)
    return parser.parse_args()


def batches(rows, size):
    import torch
    while True:
        for start in range(0, len(rows) - size + 1, size):
            part = rows[start:start + size]
            longest = max(len(row["tokens"]) for row in part)
            ids = torch.zeros(size, longest, dtype=torch.long)
            mask = torch.zeros(size, longest, dtype=torch.long)
            labels = torch.full((size, longest), -100, dtype=torch.long)
            for index, row in enumerate(part):
                count = len(row["tokens"])
                ids[index, :count] = torch.tensor(row["tokens"])
                mask[index, :count] = 1
                kept = torch.tensor(row["weights"]) != 0
                labels[index, :count][kept] = ids[index, :count][kept]
            yield ids, mask, labels


def main():
    args = arguments()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    import torch
    from transformers import AutoModelForCausalLM
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
    if args.method == "lora":
        from peft import LoraConfig, get_peft_model
        model = get_peft_model(model, LoraConfig(
            r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
    model.train()
    optimiser = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=1e-4)
    with open(args.rows) as file:
        stream = batches(json.load(file), args.batch)
    parts, useful = [], []
    for step in range(args.steps + 1):
        ids, mask, labels = next(stream)
        marks = [time.perf_counter()]
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        marks.append(time.perf_counter())
        loss.backward()
        marks.append(time.perf_counter())
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        marks.append(time.perf_counter())
        if step > 0:
            parts.append([b - a for a, b in zip(marks, marks[1:])])
            useful.append(int(mask.sum()))
    seconds = [sum(part) for part in parts]
    print(json.dumps({
        "tokens_per_second": statistics.median(n / s for n, s in zip(useful, seconds)),
        "seconds": statistics.median(seconds),
        "forward": statistics.median(part[0] for part in parts),
        "backward": statistics.median(part[1] for part in parts),
        "optimiser": statistics.median(part[2] for part in parts)}))


if __name__ == "__main__":
    main()
