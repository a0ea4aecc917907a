#!/usr/bin/env python3
"""Alignment steps as TRL does them with PyTorch, transformers and peft on a CPU, timed.

    peer_align.py --model SmolLM2-f32 --method grpo --rows prompts.json --steps 2 --threads 2
    peer_align.py --model SmolLM2-f32 --method dpo --rows pairs.json --steps 2 --threads 2

Rows are `[{"prompt": "…"}]`, or `[{"prompt": "…", "chosen": "…", "rejected": "…"}]`. GRPO writes
`--generations` completions of exactly `--length` tokens to one prompt a step; DPO takes `--batch` pairs
of at most `--length` tokens. Both train LoRA r=16 on all linear layers in float32. Prints one JSON
object: seconds of each step behind the first.
"""

import argparse
import json
import os
import tempfile
import time


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", required=True)
    add("--rows", required=True)
    add("--method", choices=["grpo", "dpo"], required=True)
    add("--batch", type=int, default=4, help="pairs a step")
    add("--generations", type=int, default=8)
    add("--length", type=int, default=64)
    add("--steps", type=int, default=2, help="timed steps, after one that is not")
    add("--threads", type=int, default=2)
    return parser.parse_args()


def main():
    args = arguments()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    torch.set_num_threads(args.threads)
    # Rows are prepared anew each time; hashing them for a cache trips over some versions of dill.
    import datasets.fingerprint
    datasets.fingerprint.Hasher.hash = classmethod(lambda cls, value: str(id(value)))
    with open(args.rows) as file:
        data = Dataset.from_list(json.load(file))
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    lora = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    marks = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_, **__):
            marks.append(time.perf_counter())

        def on_train_end(self, *_, **__):
            marks.append(time.perf_counter())

    common = dict(
        output_dir=tempfile.mkdtemp(), max_steps=args.steps + 1, learning_rate=1e-4, use_cpu=True,
        bf16=False, fp16=False, report_to="none", save_strategy="no", logging_steps=1,
        disable_tqdm=True, gradient_checkpointing=False, seed=1)
    if args.method == "grpo":
        from trl import GRPOConfig, GRPOTrainer
        trainer = GRPOTrainer(
            model=model, processing_class=tokenizer, train_dataset=data, peft_config=lora,
            reward_funcs=lambda completions, **_: [float(len(set(c))) for c in completions],
            args=GRPOConfig(
                per_device_train_batch_size=args.generations, num_generations=args.generations,
                max_completion_length=args.length, beta=0.0,
                generation_kwargs={"min_new_tokens": args.length}, **common))
    else:
        from trl import DPOConfig, DPOTrainer
        trainer = DPOTrainer(
            model=model, processing_class=tokenizer, train_dataset=data, peft_config=lora,
            args=DPOConfig(
                per_device_train_batch_size=args.batch, max_length=args.length, beta=0.1, **common))
    trainer.add_callback(Clock())
    trainer.train()
    seconds = [b - a for a, b in zip(marks, marks[1:])]
    print(json.dumps({"seconds": seconds[1:]}))


main()
