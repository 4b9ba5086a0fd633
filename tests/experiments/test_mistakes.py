"""A user's mistake is one line that says what to do, status 2, and nothing written."""

import dataclasses
import functools
import gzip
import json
import os
import re

import jax
import numpy as np
import pytest

from gan_jax import recipes, training
from gan_jax.run import checkpoints, configuration, run_folder
from tests.data.test_idx import pack
from tests.experiments.theory import test_theory
from tests.processes.running import ROOT, call, selected

_TWO = ("--distributed", "--num_processes=2")

MINE = """
from flax import linen as nn
from gan_jax.losses import LOSSES, GANLoss

LOSS = GANLoss(lambda real, fake: fake - real, LOSSES["hinge"].generator)

class Block(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return nn.BatchNorm(use_running_average=not train)(x)

class Generator(nn.Module):
    @nn.compact
    def __call__(self, z, train):
        return nn.Dense(784)(z).reshape(-1, 28, 28, 1)

class Tiny(nn.Module):
    @nn.compact
    def __call__(self, z, train):
        return nn.Dense(9)(z).reshape(-1, 3, 3, 1)

class Mixing(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return nn.Dense(1)(Block()(x.reshape(*x.shape[:-3], -1), train))[..., 0]
"""

# What a case's folder holds before the call: see `folder`.
TRAIN = {
    # names
    "loss": (["--loss=wassersteingp"], "did you mean 'wasserstein_gp'"),
    "loss, far off": (["--loss=zzz"], "minimax.*nonsaturating.*relativistic"),
    "data set": (["--dataset=fashion-mnist"], "did you mean 'fashion_mnist'"),
    "data set, far off": (["--dataset=zzz"], "garments"),
    "penalty": (["--penalty=gradient"], "did you mean 'gradient_penalty'"),
    "precision": (["--precision=float16"], "float32, tf32, bfloat16"),
    # networks, losses, optimisers
    "network": (["--network=dcgna"], "did you mean 'dcgan'"),
    "width": (["--network=r3gan", "--width=12"], "a multiple of 8, from 8 to 16384"),
    "no spectral norm": (["--network=mlp", "--spectral_norm"], "not for --network=mlp"),
    "a size for others": (
        ["--dataset=folder", "--data_dir={0}", "--image_size=36", "--network=dcgan"],
        "4, 5, 6 or 7 times a power of two, .* 36 x 36: use images of 32 x 32",
    ),
    "optimiser": (["--optimiser=adamm"], "did you mean 'adam'"),
    "line search": (["--optimiser=lbfgs"], "cannot be updated with gradients alone"),
    "a key in its state": (
        ["--optimiser=noisy_sgd"],
        r"state that cannot be saved \(.*key",
    ),
    "schedule": (["--schedule=cosin"], "did you mean 'cosine'"),
    "augmentation": (["--augment=ada"], "none, diffaugment"),
    "half a name": (
        ["--network=mine.py:Generator"],
        "names one network, and a GAN has two: write mine.py:Generator,Discriminator",
    ),
    "no code": (["--loss=none.py:LOSS"], "cannot read .*none.py .No such file"),
    "no module": (["--network=no.where:G,D"], "cannot import no.where .ModuleNotFound"),
    "code with a mistake": (
        ["--loss={0}/broken.py:LOSS"],
        r"cannot import .*broken.py \(NameError, line 2: name 'undefined' is not",
    ),
    "no such loss": (["--loss={0}/mine.py:NOTHING"], "has no NOTHING; it has .*LOSS"),
    "no loss": (["--loss={0}/mine.py:Mixing"], "has to be a gan_jax.losses.GANLoss"),
    "a loss of each": (
        ["--loss={0}/mine.py:LOSS"],
        r"discriminator gives float32 \[4\] for a batch of 4, and no scalar",
    ),
    "no penalty": (["--penalty={0}/mine.py:LOSS"], "not callable"),
    "no optimiser": (
        ["--optimiser={0}/mine.py:LOSS"],
        "no function of a learning rate",
    ),
    "no module of Linen's": (
        ["--network={0}/mine.py:Generator,LOSS"],
        "LOSS is no flax.linen.Module .it is GANLoss",
    ),
    "images of another size": (
        ["--network={0}/mine.py:Tiny,Mixing"],
        r"Tiny gives \[32, 3, 3, 1\] for \[32, 64\], .* are \[32, 28, 28, 1\]",
    ),
    "examples that are mixed": (
        ["--network={0}/mine.py:Generator,Mixing", "--loss=wasserstein_gp"],
        "keep examples apart, and Block_0/BatchNorm_0 of this one does not",
    ),
    # one's own images
    "pictures nowhere": (["--dataset=folder"], "--dataset=folder needs --data_dir"),
    "no folder of pictures": (
        ["--dataset=folder", "--data_dir={0}/none"],
        "there is no readable folder",
    ),
    "no pictures": (
        ["--dataset=folder", "--data_dir={0}/study"],
        r"study holds no pictures \(png.* other files",
    ),
    "an odd size": (
        ["--dataset=folder", "--data_dir={0}", "--image_size=30"],
        "multiples of 4, and these are 30 x 30: use images of 32 x 32",
    ),
    "four channels": (["--dataset=folder", "--channels=4"], "channels"),
    "no colour": (
        ["--dataset=folder", "--data_dir={0}", "--background=paper"],
        "--background=paper is no colour",
    ),
    "no pictures to scale": (
        ["--image_size=64"],
        "--image_size is for the pictures of --dataset=folder, and not for auto",
    ),
    "arrays nowhere": (["--dataset=npy"], "--dataset=npy needs --data_dir"),
    "no arrays": (["--dataset=npy", "--data_dir={0}"], "cannot read .*images.npy"),
    "flag": (["--batchsize=64"], "batch_size"),
    "one learning rate": (
        ["--lr=1e-3"],
        "flag 'lr': write --generator_lr=1e-3 and --discriminator_lr=1e-3$",
    ),
    "a rate without a value": (
        ["--learning_rate"],
        "flag 'learning_rate': write --generator_lr and --discriminator_lr$",
    ),
    "what a loss is called elsewhere": (["--loss=wgan"], "did you mean 'wasserstein'"),
    "neither yes nor no": (
        ["--conditional=yes"],
        "train: --conditional=yes: write --conditional or --noconditional$",
    ),
    "argument": (["wasserstein_gp"], "unexpected argument 'wasserstein_gp'.*--name"),
    "a negation with a value": (["--nooverwrite=1"], "does not take an argument"),
    # numbers
    "no number": (["--batch_size=many"], "batch_size"),
    "no batch": (["--batch_size=0"], "--batch_size=0 must be at least 1"),
    "a length twice": (
        ["--epochs=2", "--steps=9"],
        "--epochs=2 and --steps=9 are two ways to say one thing",
    ),
    "a batch of one": (["--batch_size=1"], "batch norm over a single number"),
    "one on the only device": (
        ["--batch_size_per_device=1", "--num_devices=1"],
        "batch norm over a single number",
    ),
    "negative batch": (["--batch_size=-64"], "--batch_size=-64"),
    "indivisible batch": (
        ["--batch_size=60", "--num_devices=8"],
        "not divisible by 8 devices: use 56",
    ),
    "batch beyond the data": (
        ["--batch_size=60001", "--num_devices=1"],
        "60000: use a smaller --batch_size",
    ),
    "critic batches beyond the data": (
        ["--recipe=published", "--loss=wasserstein", "--batch_size=16000"],
        "5 x 16000",
    ),
    "no step": (["--steps=0"], "--steps=0"),
    "negative steps": (["--steps=-1"], "--steps=-1"),
    "no example": (["--num_examples=0"], "--num_examples=0"),
    "examples": (["--num_examples=60001"], "more than there are: 60000"),
    "fewer examples than a batch": (["--num_examples=7"], "data set has 7: use"),
    "no epoch": (["--epochs=0"], "--epochs=0"),
    "no critic step": (["--critic_steps=0"], "--critic_steps=0"),
    "no learning": (["--generator_lr=0"], "--generator_lr=0.0"),
    "learning rate": (["--discriminator_lr=nan"], "--discriminator_lr=nan"),
    "negative penalty": (["--penalty_weight=-1"], "--penalty_weight=-1.0"),
    "beta": (["--beta1=1"], "--beta1=1.0"),
    "decay": (["--ema_decay=1.5"], "--ema_decay=1.5"),
    "latents": (["--latent_size=0"], "--latent_size=0"),
    "seed": (["--seed=-1"], "--seed=-1"),
    "samples": (["--sample_every=0"], "--sample_every=0"),
    "checkpoints": (["--checkpoint_every=-5"], "--checkpoint_every=-5"),
    "log": (["--log_every=0"], "--log_every=0"),
    "tracker": (["--track=tensorbord"], "did you mean 'tensorboard'"),
    "tracker, far off": (["--track=foo"], "tensorboard, trackio, wandb, mlflow"),
    "tracker twice": (
        ["--track=tensorboard,tensorboard"],
        "names tensorboard twice: name it once",
    ),
    "no device": (["--num_devices=0"], "--num_devices=0"),
    "less than no device": (
        ["--num_devices=-1", "--batch_size_per_device=16"],
        "--num_devices=-1 must be at least 1",
    ),
    "devices": (["--num_devices=99"], "this machine has 8"),
    # contradictions
    "clip": (["--loss=hinge", "--clip=0.01"], "contradicts --loss=hinge"),
    "negative clip": (["--loss=wasserstein", "--clip=-1"], "--clip=-1.0"),
    "beta of no use": (["--loss=wasserstein", "--beta1=0.9"], "Adam's.*rmsprop"),
    "weight": (
        ["--recipe=published", "--loss=hinge", "--penalty_weight=1"],
        "without a penalty",
    ),
    "recipe": (["--recipe=tune"], "did you mean 'tuned'"),
    "evaluations": (["--evaluate_every=0"], "--evaluate_every=0"),
    "reaction": (["--on_nan=ignore"], "stop, skip"),
    "no checkpoint kept": (["--keep_checkpoints=0"], "--keep_checkpoints=0"),
    "too many latents": (["--latent_size=65537"], "from 1 to 65536"),
    "too many steps": (["--steps=4294967296"], "more than are counted"),
    "coordinator": (["--coordinator=a:1"], "--coordinator goes with --distributed"),
    "alone": (["--distributed"], "cannot join the other processes.*--process_id"),
    "no port": (
        [*_TWO, "--coordinator=nowhere", "--process_id=0"],
        "--coordinator=nowhere must be host:port",
    ),
    "process": (
        [*_TWO, "--coordinator=localhost:1", "--process_id=2"],
        "--process_id=2 must be from 0",
    ),
    "which process": ([*_TWO, "--coordinator=localhost:1"], "give all three"),
    # folders
    "endless name": (["--workdir={0}/" + 300 * "x"], "File name too long"),
    "no workdir": (["--workdir="], "--workdir is empty"),
    "workdir of nobody": (["--workdir=~no_such_user/a"], "no user no_such_user here"),
    "workdir is a file": (["--workdir={0}/file"], "is a file"),
    "workdir in a file": (["--workdir={0}/file/run"], "cannot write"),
    "workdir in a store": (["--workdir=s3://bucket/a"], "=s3://bucket/a is no local"),
    "workdir of others": (["--workdir={0}/files"], "holds files and no run"),
    "workdir of another run": (
        ["--workdir={0}/run", "--loss=hinge", "--dataset=garments"],
        "--loss=minimax there and hinge now",
    ),
    "damaged workdir": (
        ["--workdir={0}/damaged", "--dataset=garments"],
        "config.json is damaged",
    ),
    "no data folder": (["--data_dir={0}/nowhere"], "no readable folder"),
    "data folder lacks files": (["--data_dir={0}/half"], "no train-labels"),
    "damaged data": (["--data_dir={0}/cut"], "train-images-idx3-ubyte.gz is truncated"),
}

SAMPLE = {
    "store": (["--workdir=gs://a/b", "--output={0}/a.png"], "=gs://a/b is no local"),
    "no workdir": (["--output={0}/a.png"], "--workdir is missing"),
    "nobody's": (
        ["--workdir=~no_such_user/a", "--output={0}/a.png"],
        "is no user no_s",
    ),
    "no run": (["--workdir={0}/files", "--output={0}/a.png"], "no run in"),
    "no checkpoint": (["--workdir={0}/run", "--output={0}/a.npz"], "no checkpoint yet"),
    "no output": (["--workdir={0}/run"], "--output"),
    "format": (["--workdir={0}/run", "--output={0}/a.jpg"], ".npz or .png"),
    "output folder": (["--workdir={0}/run", "--output={0}/no/a.png"], "no folder"),
    "folder in none": (
        ["--workdir={0}/run", "--output={0}/no/a/"],
        "--output: there is no folder .*/no: make it first",
    ),
    "a pipe": (["--workdir={0}/trained", "--output={0}/pipe.png"], "name a file"),
    "no samples": (
        ["--workdir={0}/run", "--output={0}/a.png", "--num_samples=0"],
        "--num_samples=0",
    ),
    "seed": (["--workdir={0}/run", "--output={0}/a.png", "--seed=-1"], "--seed=-1"),
    "too many": (
        ["--workdir={0}/run", "--output={0}/a.npz", "--num_samples=1000001"],
        "more than 1000000",
    ),
    "picture": (
        ["--workdir={0}/run", "--output={0}/a.png", "--num_samples=10001"],
        "use .npz",
    ),
    "class of an unconditional run": (
        ["--workdir={0}/trained", "--output={0}/a.png", "--label=3"],
        "unconditional GAN for a class",
    ),
    "truncation": (
        ["--workdir={0}/trained", "--output={0}/a.png", "--truncation=0"],
        "--truncation=0.0 must be above 0",
    ),
    "directions": (
        ["--workdir={0}/trained", "--output={0}/a.png", "--along=1,x"],
        "--along=1,x must be numbers",
    ),
    "end of a walk": (
        ["--workdir={0}/trained", "--output={0}/a.png", "--to_seed=-1"],
        "--to_seed=-1 must be in",
    ),
}

EVALUATE = {
    "a run in a store": (["--workdir=s3://bucket/a"], "=s3://bucket/a is no local"),
    "nothing": ([], "nothing to evaluate"),
    "nobody's": (["--workdir=~no_such_user/a"], "there is no user no_such_user here"),
    "empty folder": (["--workdir={0}/empty"], "no run in .*empty"),
    "no folder": (["--workdir={0}/nowhere"], "no run in .*nowhere"),
    "no checkpoint": (["--workdir={0}/run"], "no checkpoint yet"),
    "damaged run": (["--workdir={0}/damaged"], "config.json is damaged"),
    "damaged checkpoint": (["--workdir={0}/torn"], "checkpoint 1 in .* cannot be read"),
    "one good, one not": (["--workdir={0}/trained,{0}/empty"], "no run in .*empty"),
    "twice": (["--workdir={0}/trained,{0}/trained"], "named twice"),
    "no file": (["--samples={0}/no.npz"], "No such file"),
    "no samples file": (["--samples={0}/file"], "cannot be read as an .npz"),
    "shape": (["--samples={0}/wide.npz"], r"uint8 \[9, 28, 28, 2\]: they must"),
    "type": (["--samples={0}/float.npz"], r"float32 \[9, 28, 28, 1\]: they must"),
    "fewer than asked": (
        ["--samples={0}/nine.npz", "--num_samples=10"],
        "holds 9 images and --num_samples asks for 10",
    ),
    "fewer than needed": (
        ["--samples={0}/nine.npz", "--num_samples=5"],
        "precision, .* need at least 6 samples, and there are 5",
    ),
    "fewer than usual": (["--samples={0}/nine.npz"], "--num_samples asks for 10000"),
    "fewer than modes are counted with": (
        ["--samples={0}/nine.npz", "--dataset=stacked_garments"],
        "--num_samples asks for 26000",
    ),
    "fewer than modes of a run are counted with": (
        ["--workdir={0}/stacked", "--samples={0}/nine.npz"],
        "--num_samples asks for 26000",
    ),
    "features without modes": (
        ["--samples={0}/nine.npz", "--dataset=stacked_garments", "--features=random"],
        "--num_samples asks for 10000",
    ),
    "no sample": (["--workdir={0}/trained", "--num_samples=0"], "--num_samples=0"),
    "data set": (
        ["--workdir={0}/trained", "--dataset=garment"],
        "did you mean 'garments'",
    ),
    "different data": (["--workdir={0}/trained,{0}/digits"], "different data sets"),
    "no pictures to scale": (
        ["--workdir={0}/trained", "--image_size=16"],
        "--image_size is for the pictures of --dataset=folder, and not for garments",
    ),
    "weights of others": (
        ["--workdir={0}/trained", "--inception_weights={0}/file"],
        "--inception_weights is for --features=inception",
    ),
    "seed": (["--workdir={0}/trained", "--seed=-1"], "--seed=-1"),
    "too many": (["--workdir={0}/trained", "--num_samples=100001"], "more than 100000"),
    "table": (["--workdir={0}/trained", "--markdown={0}"], "is a folder"),
}

# Of programs that take one run, and nothing else that has to be given.
OF_A_RUN = {
    "a run in a store": (["--workdir=s3://bucket/a"], "=s3://bucket/a is no local"),
    "no workdir": ([], "--workdir is missing"),
    "no run": (["--workdir={0}/empty"], "no run in"),
    "no checkpoint": (["--workdir={0}/run"], "no checkpoint yet"),
}

EXPORT = OF_A_RUN | {
    "ending": (["--workdir={0}/trained", "--output={0}/a.h5"], "must end in .onnx"),
    "no ending": (["--workdir={0}/trained", "--output={0}/a"], "must end in .onnx"),
    "another ending": (
        ["--workdir={0}/trained", "--output={0}/a.npz", "--format=stablehlo"],
        "must end in .stablehlo",
    ),
    "no folder": (
        ["--workdir={0}/trained", "--output={0}/none/a.npz"],
        "--output: there is no folder .*/none: make it first",
    ),
    "pixels of weights": (
        ["--workdir={0}/trained", "--format=npz", "--pixels=float32"],
        "--pixels is for onnx and stablehlo",
    ),
}

INTERPOLATE = OF_A_RUN | {
    "a folder that is none": (["--workdir={0}/file"], "is a file: name a folder"),
    "no rows": (["--workdir={0}/trained", "--rows=0"], "--rows=0"),
    "rows": (["--workdir={0}/trained", "--rows=101"], "more than 100"),
    "no time": (["--workdir={0}/trained", "--milliseconds=0"], "--milliseconds=0"),
    "no end": (["--workdir={0}/trained", "--milliseconds=99999"], "10 ... 60000"),
}

EXPLORE = {
    "runs in a store": (["--runs=s3://bucket/a"], "--runs=s3://bucket/a is no local"),
    "no folder": (["--runs={0}/nowhere"], "nowhere is no folder: name one that holds"),
    "a file": (["--runs={0}/file"], "file is no folder"),
    "empty": (["--runs="], "--runs is empty"),
    "port": (["--runs={0}", "--port=65536"], "--port=65536 must be in 0 ... 65535"),
    "host": (["--runs={0}", "--host="], "--host is empty"),
}

QUALITY = {
    "workdir in a store": (
        ["--workdir=s3://bucket/a", "--programs=tuned"],
        "=s3://bucket/a is no local",
    ),
    "GAN": (["--gans=nonsaturatin"], "did you mean 'nonsaturating'"),
    "no GAN": (["--gans="], "nothing to train"),
    "program": (["--programs=peers"], "did you mean 'peer'"),
    "seeds": (["--seeds=0"], "--seeds=0"),
    "last seed": (
        ["--seeds=2", "--seed=4294967295"],
        "--seed=4294967295 is too large for 2 seeds from it",
    ),
    "samples": (["--num_samples=5"], "need at least 6 samples"),
    "data set": (["--dataset=fashion"], "did you mean 'fashion_mnist'"),
    "table": (["--markdown={0}/nowhere/a.md"], "there is no folder .*nowhere"),
    "workdir is a file": (["--workdir={0}/file", "--programs=tuned"], "is a file"),
    "no workdir": (["--workdir=", "--programs=tuned"], "--workdir is empty"),
    "results of others": (
        ["--workdir={0}/others", "--programs=tuned"],
        "holds results of experiments.study: name another folder",
    ),
    "workdir in a file": (["--workdir={0}/file/a", "--programs=tuned"], "cannot write"),
    "folder of another run": (
        ["--workdir={0}/quality", "--quick", "--programs=published,tuned"],
        "--seed=5 there and 0 now.*use another --workdir",
    ),
}

TRAINING_LENGTH = {
    "workdir in a store": (["--workdir=s3://bucket/a"], "=s3://bucket/a is no local"),
    "GAN": (["--gans=nonsaturatin"], "did you mean 'nonsaturating'"),
    "no GAN": (["--gans="], "nothing to train"),
    "no epochs": (["--epochs="], "--epochs=: give numbers above 0"),
    "no epoch": (["--epochs=0,3"], "--epochs=0,3: give numbers above 0"),
    "word": (["--epochs=3,ten"], "--epochs: .*'ten'.* give numbers with commas"),
    "length": (["--lengths=0.5"], "above 0 and at most 0.289.*not 0.5"),
    "samples": (["--num_samples=5"], "need at least 6 samples"),
    "data set": (["--dataset=fashion"], "did you mean 'fashion_mnist'"),
    "seed": (["--seed=-1"], "--seed=-1"),
    "workdir is a file": (["--workdir={0}/file"], "is a file"),
    "no workdir": (["--workdir="], "--workdir is empty"),
    "results of others": (
        ["--workdir={0}/others"],
        "holds results of experiments.study: name another folder",
    ),
}

TUNE = {
    "workdir in a store": (["--workdir=s3://bucket/a"], "=s3://bucket/a is no local"),
    "GAN": (["--gans=nonsaturatin"], "did you mean 'nonsaturating'"),
    "no GAN": (["--gans="], "nothing to tune"),
    "number of the sweep": (
        ["--sweep=generator_rl:1|2"],
        "did you mean 'generator_lr'",
    ),
    "seed in the sweep": (["--sweep=seed:0..4"], "--seed and --settings say which"),
    "value of the sweep": (["--sweep=batch_size:0"], "--batch_size=0 must be"),
    "settings": (["--settings=0"], "--settings=0"),
    "samples": (["--num_samples=0"], "--num_samples=0"),
    "a sample": (["--num_samples=1"], "--num_samples=1 must be in 2 ... 100000"),
    "too many": (["--num_samples=100001"], "--num_samples=100001 must be in 2"),
    "data set": (["--dataset=fashion"], "did you mean 'fashion_mnist'"),
    "seed": (["--seed=-1"], "--seed=-1"),
    "workdir is a file": (["--workdir={0}/file"], "is a file"),
    "no workdir": (["--workdir="], "--workdir is empty"),
    "results of others": (
        ["--workdir={0}/others"],
        "holds results of experiments.study: name another folder",
    ),
}

HALVING = {
    "a sample": (["--num_samples=1"], "--num_samples=1 must be in 2 ... 100000"),
    "too many": (["--num_samples=100001"], "--num_samples=100001 must be in 2"),
    "seed in the sweep": (["--sweep=seed:0..4"], "--seed and --settings say which"),
    "value of the sweep": (["--sweep=batch_size:0"], "--batch_size=0 must be"),
    "data set": (["--dataset=fashion"], "did you mean 'fashion_mnist'"),
    "table": (["--output={0}/nowhere/a.json"], "there is no folder .*nowhere"),
}

CALIBRATION = {
    "workdir in a store": (["--workdir=s3://bucket/a"], "=s3://bucket/a is no local"),
    "samples": (["--num_samples=5"], "need at least 6 samples"),
    "too many": (["--num_samples=100001"], "more than 100000"),
    "data set": (["--dataset=fashion"], "did you mean 'fashion_mnist'"),
    "seed": (["--seed=-1"], "--seed=-1"),
    "workdir is a file": (["--workdir={0}/file"], "is a file"),
    "no workdir": (["--workdir="], "--workdir is empty"),
    "results of others": (
        ["--workdir={0}/others"],
        "holds results of experiments.study: name another folder",
    ),
    "workdir in a file": (["--workdir={0}/file/a"], "cannot write"),
    "no data folder": (["--data_dir={0}/nowhere"], "no readable folder"),
}

STUDY = {
    "loss": (["--loss=wassersteingp"], "did you mean 'wasserstein_gp'"),
    "no loss": (["--loss="], "--loss is empty"),
    "sweep": (["--sweep=generator_lr:1e-4..1e-2"], "drawn for each GAN"),
    "name": (["--sweep=learning_rate:1|2"], "unknown number of a sweep"),
    "a flag that is a number of the sweep": (
        ["--network=dcgan"],
        "flag 'network'.*: write it into --sweep: network:dcgan$",
    ),
    "one learning rate": (
        ["--lr=1e-3"],
        "'lr': write it into --sweep: generator_lr:1e-3,discriminator_lr:1e-3$",
    ),
    "fewer images": (
        ["--num_examples=512"],
        "'num_examples': a study trains on all images: --steps=50 makes it shorter$",
    ),
    "recipe": (["--recipe=mine"], "unknown recipe 'mine'"),
    "clip": (["--sweep=clip:0.1|1"], "nonsaturating with clip:0.1: .* contradicts"),
    "data set": (["--dataset=garment"], "did you mean 'garments'"),
    "steps": (["--steps=0"], "--steps=0 must be at least 1"),
    "a length twice": (["--epochs=2", "--steps=9"], "leave one out"),
    "at once": (["--at_once=0"], "--at_once=0 must be at least 1"),
    "samples": (["--num_samples=1"], "--num_samples=1 must be in 2"),
    "seed": (["--seed=-1"], "--seed=-1"),
    "batch": (["--sweep=batch_size:60001"], "60000: use a smaller --batch_size"),
    "a batch of one": (["--sweep=batch_size:1"], "batch norm over a single number"),
    "devices": (["--num_devices=9"], "--num_devices=9, and this machine has 8"),
    "storage": (
        ["--sampler=tpe", "--storage=sqlite:////no/a.db", "--sweep=clip:1..2:linear"],
        "Optuna cannot open sqlite:////no/a.db",
    ),
    "halving": (["--halving=1"], "--halving=1 must be at least 2"),
    "one rung": (["--halving=3", "--rungs=1"], "--rungs=1 must be at least 2"),
    "rungs alone": (["--rungs=3"], "--rungs is for --halving"),
    "keep alone": (["--keep=2"], "--keep is for --halving"),
    "keep all": (["--halving=3", "--keep=1"], "--keep=1 must be at least 2"),
    "many rungs": (["--halving=9", "--rungs=9"], "use fewer --rungs"),
    "nothing to choose": (["--sampler=tpe"], "--sweep has seeds alone"),
    "a grid of an interval": (
        ["--sampler=grid", "--sweep=beta1:0..0.9:linear"],
        "beta1 is an interval: give it a number of values",
    ),
    "what a sampler may draw": (
        ["--sampler=random", "--sweep=batch_size:64|60001"],
        "60000: use a smaller --batch_size",
    ),
    "trials alone": (["--trials=3"], "--trials is for --sampler"),
    "storage alone": (["--storage=sqlite:///a"], "--storage is for --sampler"),
    "ray alone": (["--ray_address=auto"], "--ray_address is for --engine=ray"),
    "no workdir": (["--workdir="], "--workdir is empty"),
    "workdir is a file": (["--workdir={0}/file"], "is a file"),
    "workdir of others": (["--workdir={0}/files"], "holds files and no run"),
    "workdir of a run": (
        ["--quick", "--workdir={0}/run"],
        "holds something else than a study",
    ),
    "overwrites a run": (
        ["--quick", "--overwrite", "--workdir={0}/run"],
        "holds something else than a study",
    ),
    "no such store": (["--workdir=ftp://host/a"], "local folder, or s3://bucket/name"),
    "no bucket": (["--workdir=s3://"], "s3:// names no bucket"),
    "other study": (["--quick", "--workdir={0}/study"], "--steps=19 there and 20 now"),
    "damaged ledger": (
        ["--quick", "--steps=19", "--workdir={0}/study"],
        "runs.jsonl is damaged",
    ),
}

PROGRAMS = {
    "train": TRAIN,
    "study": STUDY,
    "sample": SAMPLE,
    "evaluate": EVALUATE,
    "export": EXPORT,
    "interpolate": INTERPOLATE,
    "explore": EXPLORE,
    "measure.quality": QUALITY,
    "measure.calibration": CALIBRATION,
    "measure.training_length": TRAINING_LENGTH,
    "measure.tune": TUNE,
    "measure.halving": HALVING,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder that holds what the cases need."""
    root = tmp_path_factory.mktemp("mistakes")
    (root / "file").write_text("")
    (root / "broken.py").write_text("import math\nundefined\n")
    (root / "mine.py").write_text(MINE)
    (root / "files").mkdir()
    (root / "files" / "thesis.tex").write_text("")
    config = configuration.Config(recipes.recipe("minimax"), "garments", 0, 937)
    for name in ("run", "damaged"):
        run_folder.prepare(root / name, config, overwrite=False)
        configuration.write_config(root / name, config)
    (root / "damaged" / "config.json").write_text('{"flags"')
    (root / "empty").mkdir()
    os.mkfifo(root / "pipe.png")
    (root / "others").mkdir()
    results = {"command": "python -m experiments.study --quick"}
    (root / "others" / "results.json").write_text(json.dumps(results))
    (root / "study").mkdir()
    shared = {
        "recipe": "tuned",
        "conditional": False,
        "dataset": "garments",
        "epochs": None,
        "steps": 19,
        "num_samples": 5000,
        "seed": 0,
        "quick": True,
    }
    (root / "study" / "config.json").write_text(json.dumps({"study": shared}))
    (root / "study" / "runs.jsonl").write_text('{"loss": "hinge"}\n')
    _save_run(root / "trained", config)
    _save_run(root / "torn", config)
    for path in (root / "torn" / "checkpoints" / "1").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:10])
    other = configuration.Config(recipes.recipe("nonsaturating"), "garments", 5, 10)
    _save_run(root / "quality" / "nonsaturating" / "published" / "seed_0", other)
    _save_run(root / "digits", dataclasses.replace(config, dataset="mnist"))
    _save_run(root / "stacked", dataclasses.replace(config, dataset="stacked_mnist"))
    shape = (9, 28, 28, 1)
    np.savez(root / "nine.npz", images=np.zeros(shape, np.uint8))
    np.savez(root / "float.npz", images=np.zeros(shape, np.float32))
    np.savez(root / "wide.npz", images=np.zeros((9, 28, 28, 2), np.uint8))
    (root / "half").mkdir()
    (root / "cut").mkdir()
    cut_off = gzip.compress(pack(np.zeros((60_000, 28, 28), np.uint8)))[:-20]
    for file in ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"):
        for name in ("half", "cut"):
            (root / name / file).write_bytes(cut_off)
    (root / "half" / "train-labels-idx1-ubyte.gz").unlink()
    return root


def _save_run(folder, config):
    """A run with a checkpoint of untrained networks."""
    run_folder.prepare(folder, config, overwrite=False)
    configuration.write_config(folder, config)
    about = {"flags": config.flags(), "versions": configuration.versions()}
    writer = checkpoints.Writer(folder, about, keep=1)
    writer.save(1, _untrained())
    writer.close()


@functools.cache
def _untrained():
    """The state of them all: of the same networks and optimisers."""
    gan = recipes.make_gan(recipes.recipe("minimax"))
    state = training.init_state(gan, jax.random.key(0), (28, 28, 1))
    return state.replace(step=state.step + 1)


def call_cases(module, cases, folder):
    """Each case's result; the current directory is the folder."""
    arguments = [[a.format(folder) for a in case[0]] for case in cases.values()]
    results = call({module: arguments}, cwd=folder, JAX_NUM_CPU_DEVICES="8")
    return dict(zip(cases, results[module], strict=True))


# Of programs that cannot start without: what lets the others come as far as to JAX.
_QUICK = ["--quick", "--workdir={0}/new"]
STARTS = {
    "train": ["--dataset=garments", "--num_examples=64", "--workdir={0}/new"],
    "study": _QUICK,
    "sample": ["--workdir={0}/trained", "--output={0}/a.png"],
    "export": ["--workdir={0}/trained", "--format=npz"],
    "evaluate": ["--workdir={0}/trained", "--quick"],
    "interpolate": ["--workdir={0}/trained"],
    "explore": ["--runs={0}"],
    "measure.quality": [*_QUICK, "--programs=tuned"],
    "measure.calibration": _QUICK,
    "measure.torture": _QUICK,
    "measure.benchmark": ["--peers=", "--num_examples=64"],
    "measure.profile_step": [],
    "measure.count_kernels": ["--loss=hinge"],
    "measure.engine": ["--nodes="],
    "measure.halving": ["--quick", "--repetitions=1"],
    "measure.trace_kernels": [],
    "measure.training_length": _QUICK,
    "measure.tune": _QUICK,
} | {f"theory.{name}": _QUICK for name in test_theory.NAMES}


NEED_NO_DEVICE = {"measure.count_kernels": 0, "measure.engine": 2}


def test_every_program_has_a_start():
    root = ROOT / "experiments"
    programs = (p for p in root.rglob("*.py") if "cli.run(" in p.read_text())
    names = {".".join(p.relative_to(root).with_suffix("").parts) for p in programs}
    assert names == {*STARTS}


# All of them end by the same `cli.guarded`: the suite asks what people use every day.
EVERY_DAY = ("train", "evaluate")
every_program = pytest.mark.parametrize(
    "program",
    [pytest.param(n, marks=[pytest.mark.slow] * (n not in EVERY_DAY)) for n in STARTS],
)


@pytest.fixture(scope="module")
def without_gpu(folder, request):
    """Programs where JAX is told to use a GPU and there is none; and their help."""
    before, alone, theory = entries(folder), [], {}
    for program in selected(request, "program"):
        lists = [[a.format(folder) for a in STARTS[program]], ["--help"]]
        room, _, name = program.rpartition(".")
        if room == "theory":
            theory[name] = lists
        else:
            alone.append({f"experiments.{program}": lists})
    how = {"JAX_PLATFORMS": "cuda", "GAN_JAX_CACHE_DIR": f"{folder}/cache"}
    found = call(*alone, **how) | test_theory.call_each(theory, **how)
    assert entries(folder) == before
    return found


@every_program
def test_a_backend_that_cannot_start_is_one_line(without_gpu, program):
    result, _ = without_gpu[f"experiments.{program}"]
    if program in NEED_NO_DEVICE:
        assert result["status"] == NEED_NO_DEVICE[program], result["stderr"]
        return
    assert result["status"] == 2, result["stderr"]
    assert "JAX cannot start on JAX_PLATFORMS=cuda" in result["stderr"].splitlines()[-1]
    if program != "measure.benchmark":  # that says what it is about to start
        assert len(result["stderr"].splitlines()) == 1, result["stderr"]


@every_program
def test_help_says_how_to_call_it_and_needs_no_device(without_gpu, program):
    _, result = without_gpu[f"experiments.{program}"]
    assert (result["status"], result["stderr"]) == (0, "")
    assert f"python -m experiments.{program}" in result["stdout"]


def entries(folder):
    return sorted(str(path) for path in folder.rglob("*"))


@pytest.fixture(scope="module")
def results(folder):
    before = entries(folder)
    made = {
        name: call_cases(f"experiments.{name}", cases, folder)
        for name, cases in PROGRAMS.items()
    }
    return made | {"left": set(entries(folder)) - set(before)}


CASES = [(name, case) for name, cases in PROGRAMS.items() for case in cases]


@pytest.mark.parametrize(("program", "case"), CASES)
def test_a_mistake_is_one_line_with_status_2(program, case, results):
    words, name = PROGRAMS[program][case][1], program.rpartition(".")[2]
    result = results[program][case]
    assert result["status"] == 2
    assert len(result["stderr"].splitlines()) == 1, result["stderr"]
    assert result["stderr"].startswith(f"{name}: ")
    assert re.search(words, result["stderr"]), result["stderr"]


def test_mistakes_leave_nothing_behind(results):
    assert results["left"] == set()
