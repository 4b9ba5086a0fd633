"""Code of one's own, by name: found, run once, refused with its own error."""

import dataclasses
import hashlib
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import optimisers, own_code, recipes
from gan_jax.devices import parallel, placement
from gan_jax.errors import UserError
from gan_jax.losses import LOSSES, GANLoss
from gan_jax.run import configuration, run_folder
from gan_jax.training import init_state

MINE = """
import jax.numpy as jnp
import optax
from gan_jax.losses import LOSSES, GANLoss
from helper import scale

MINE = GANLoss(
    lambda real, fake: scale(jnp.mean(fake - real)), LOSSES["hinge"].generator
)
PER_EXAMPLE = GANLoss(lambda real, fake: fake - real, LOSSES["hinge"].generator)
INTEGER = GANLoss(lambda real, fake: jnp.sum(real > 0), LOSSES["hinge"].generator)
RAISES = GANLoss(LOSSES["hinge"].discriminator, lambda real, fake: real @ fake @ fake)
NONE = GANLoss(lambda real, fake: None, LOSSES["hinge"].generator)

def penalty(critic, real, fake, keys, labels):
    return jnp.mean(jnp.square(real - fake))

def per_example(critic, real, fake, keys, labels):
    return jnp.sum(real, axis=(1, 2, 3))

def optimiser(learning_rate, b1):
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(learning_rate, b1))

def words(learning_rate):
    adam = optax.adam(learning_rate)
    return optax.GradientTransformation(lambda p: ("a word", adam.init(p)), adam.update)

def number(learning_rate):
    return learning_rate

def more(learning_rate, **numbers):
    return optax.adam(learning_rate, **numbers)

line_search = optax.lbfgs
"""


@pytest.fixture(autouse=True)
def as_in_a_new_process():
    own_code._read.cache_clear()


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "helper.py").write_text("def scale(x):\n    return 2 * x\n")
    return f"{tmp_path / 'mine.py'}:"


@pytest.fixture
def package(tmp_path, monkeypatch):
    (tmp_path / "their").mkdir()
    (tmp_path / "their" / "losses.py").write_text(MINE.replace("from helper", "from ."))
    (tmp_path / "their" / "__init__.py").write_text("def scale(x): return x\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "their.losses:"
    for name in ("their", "their.losses"):
        sys.modules.pop(name, None)


# Found


def test_a_loss_of_ones_own_trains_with_the_recipe_of_all_others(mine):
    recipe = recipes.recipe(mine + "MINE", "tuned", batch_size=8)
    assert (recipe.penalty, recipe.beta2) == ("none", 0.9)
    gan = recipes.make_gan(recipe)
    assert isinstance(gan.loss, GANLoss)
    assert gan.loss.discriminator(jnp.zeros(3), jnp.ones(3)) == 2
    assert recipes.make_gan(recipe).loss == gan.loss  # one program for both


def test_a_loss_of_a_package_is_found_as_python_finds_it(package):
    gan = recipes.make_gan(recipes.recipe(package + "MINE"))
    assert gan.loss.discriminator(jnp.zeros(3), jnp.ones(3)) == 1


def test_a_penalty_of_ones_own_has_the_weight_of_1(mine):
    recipe = recipes.recipe("hinge", penalty=mine + "penalty")
    assert recipe.penalty_weight == 1
    gan = recipes.make_gan(recipe, shape=(16, 16, 3))
    real = jnp.ones((2, 16, 16, 3))
    assert gan.penalty(None, real, 3 * real, None, None) == 4


def test_an_optimiser_of_ones_own_is_given_the_betas_that_it_takes(mine):
    recipe = recipes.recipe("hinge", optimiser=mine + "optimiser", beta1=0.25)
    optimiser = recipes.make_gan(recipe).generator_optimiser
    params = {"w": jnp.zeros(2)}
    _, state = optimiser.update({"w": jnp.full(2, 0.5)}, optimiser.init(params), params)
    np.testing.assert_allclose(state[1][0].mu["w"], 0.75 * 0.5, rtol=1e-6)


def test_an_optimiser_that_takes_any_argument_is_given_both_betas(mine):
    given = {"beta1": 0.25, "beta2": 0.5}
    recipe = recipes.recipe("hinge", optimiser=mine + "more", **given)
    optimiser = recipes.make_gan(recipe).generator_optimiser
    params = {"w": jnp.zeros(2)}
    _, state = optimiser.update({"w": jnp.full(2, 0.5)}, optimiser.init(params), params)
    np.testing.assert_allclose(state[0].mu["w"], 0.75 * 0.5, rtol=1e-6)
    np.testing.assert_allclose(state[0].nu["w"], 0.5 * 0.25, rtol=1e-6)


def test_a_beta_that_an_optimiser_does_not_take_is_refused(mine):
    name = mine + "optimiser"
    with pytest.raises(UserError, match=r"--beta2: .*:optimiser has no argument b2"):
        recipes.recipe("hinge", optimiser=name, beta1=0.25, beta2=0.5)
    with pytest.raises(UserError, match="is GANLoss, and no function"):
        recipes.recipe("hinge", optimiser=mine + "MINE", beta1=0.25)
    assert recipes.recipe("hinge", optimiser=name).beta2 == 0.999  # the recipe's own


def test_a_name_is_looked_for_in_the_folder_that_one_is_in_now(tmp_path, monkeypatch):
    for name in ("hinge", "kl"):
        (tmp_path / name).mkdir()
        text = f"from gan_jax.losses import LOSSES\nMINE = LOSSES[{name!r}]\n"
        (tmp_path / name / "mine.py").write_text(text)
        monkeypatch.chdir(tmp_path / name)
        assert own_code.find("loss", "mine.py:MINE") == [LOSSES[name]]
        sha = hashlib.sha256(text.encode()).hexdigest()
        assert own_code.source("loss", "mine.py:MINE") == ("mine.py", sha)


def test_an_optimiser_is_tried_anew_in_another_folder(tmp_path, monkeypatch):
    functions = {"fine": "optax.sgd", "wrong": "optax.lbfgs"}
    for name, function in functions.items():
        (tmp_path / name).mkdir()
        text = f"import optax\nopt = {function}\n"
        (tmp_path / name / "mine.py").write_text(text)
    monkeypatch.chdir(tmp_path / "fine")
    optimisers.make("mine.py:opt", 0.1, beta1=0.5, beta2=0.9)
    monkeypatch.chdir(tmp_path / "wrong")
    with pytest.raises(UserError, match="cannot be updated with gradients alone"):
        optimisers.make("mine.py:opt", 0.1, beta1=0.5, beta2=0.9)


def test_its_source_is_known_by_its_sum(mine):
    place = mine[:-1]
    recipe = recipes.recipe(mine + "MINE", penalty=mine + "penalty")
    assert recipes.sources(recipe) == {place: hashlib.sha256(MINE.encode()).hexdigest()}
    assert recipes.sources(recipes.recipe("hinge")) == {}


# Refused

LOSSES_REFUSED = {
    "PER_EXAMPLE": r"discriminator gives float32 \[4\] for a batch of 4, and no scalar",
    "INTEGER": r"discriminator gives int32 \[\]",
    "RAISES": r"generator cannot be called \(ValueError: matmul",
    "NONE": "gives NoneType",
    "penalty": "is function: it has to be a gan_jax.losses.GANLoss",
    "NOBODY": "has no NOBODY; it has .*MINE",
    "": "names nothing: write mine.py:NAME or package.module:NAME",
    "MINE,NONE": "names nothing",
}


def refused(message, **names):
    with pytest.raises(UserError, match=message) as error:
        recipes.make_gan(recipes.recipe(**{"loss": "hinge"} | names))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", LOSSES_REFUSED)
def test_what_is_no_loss_is_refused(mine, name):
    refused(LOSSES_REFUSED[name], loss=mine + name)


FEW = """
import jax.numpy as jnp
from flax import linen as nn
from gan_jax.losses import LOSSES, GANLoss
from helper import scale

_hidden, renamed = 3, jnp.mean
LOSS = GANLoss(*LOSSES["hinge"])

class Mine(nn.Module):
    pass

def penalty(critic, real, fake, keys, labels):
    return renamed(scale(real))
"""


def test_what_a_file_has_is_what_it_defines(mine, package, tmp_path):
    """Neither its modules, nor what it has from other files."""
    (tmp_path / "few.py").write_text(FEW)
    said = "has no nope; it has renamed, LOSS, Mine, penalty$"
    refused(said, penalty=f"{tmp_path / 'few.py'}:nope")
    (tmp_path / "their" / "losses.py").write_text(FEW.replace("helper", "their"))
    said = said.replace("renamed", "scale, renamed")  # of the same package
    refused(said, penalty=package + "nope")


def test_a_file_that_only_imports_has_nothing_of_its_own(tmp_path):
    (tmp_path / "a.py").write_text("import jax\nfrom gan_jax.losses import LOSSES\n")
    refused("a.py has no B; it has nothing of its own", loss=f"{tmp_path / 'a.py'}:B")


def test_what_is_no_penalty_is_refused(mine):
    refused(r"--penalty=.* gives float32 \[4\]", penalty=mine + "per_example")
    refused("cannot be called .*GANLoss.*not callable", penalty=mine + "MINE")


def test_what_is_no_optimiser_is_refused(mine):
    refused("gives no optimiser .*AttributeError", optimiser=mine + "number")
    refused("has a state that cannot be saved", optimiser=mine + "words")
    refused("cannot be updated with gradients alone", optimiser=mine + "line_search")
    refused("is GANLoss, and no function", optimiser=mine + "MINE")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import nowhere_to_be_found", r"ModuleNotFoundError, line 1: No module"),
        ("x = 1\ny = x +", r"SyntaxError: invalid syntax \(mine.py, line 2\)"),
        ("def f():\n    return g\n\nf()", "NameError, line 2: name 'g' is not defined"),
        ("raise SystemExit('ended')", "SystemExit, line 1: ended"),
    ],
)
def test_code_that_cannot_be_run_is_quoted(tmp_path, source, message):
    (tmp_path / "mine.py").write_text(source)
    refused(f"cannot import .*mine.py \\({message}", loss=f"{tmp_path / 'mine.py'}:A")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("~nobody_x/mine.py", "there is no user nobody_x here: write the whole path"),
        ("a\0.py", "is no path: it has a zero character"),
        ("\ud800.py", "names no file"),
        ("circle.py", "names no file|cannot read"),
        ("..", "cannot import"),
    ],
)
def test_what_no_file_can_be_called_is_one_line_and_lies_in_no_folder(
    tmp_path, monkeypatch, place, message
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    (tmp_path / "circle.py").symlink_to(tmp_path / "circle.py")
    assert not own_code.in_folder(f"{place}:L", tmp_path / "run")
    for ask in (own_code.find, own_code.source):
        with pytest.raises(UserError, match=message):
            ask("loss", f"{place}:L")


def test_code_that_is_not_there_is_one_line(tmp_path):
    refused("cannot read .*none.py .*No such file", loss=f"{tmp_path / 'none.py'}:A")
    refused("cannot import nowhere.at_all .*No module", loss="nowhere.at_all:A")


# Kept with a run


@pytest.fixture
def config(mine):
    return configuration.Config.of(recipes.recipe(mine + "MINE"), "garments", 0, 9)


def test_a_run_knows_its_source_and_reads_it_again(config, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    configuration.write_config(folder, config)
    assert configuration.read_config(folder) == config
    assert configuration.read_config(folder).make_gan().loss == config.make_gan().loss


def test_a_run_does_not_go_on_with_another_source(config, mine, tmp_path):
    folder = tmp_path / "run"
    run_folder.prepare(folder, config, overwrite=False)
    configuration.write_config(folder, config)
    place = mine[:-1]
    with open(place, "a") as file:
        file.write("\n# changed\n")
    assert configuration.Config.of(config.recipe, "garments", 0, 9) == config
    own_code._read.cache_clear()  # a process reads it once
    now = configuration.Config.of(config.recipe, "garments", 0, 9)
    with pytest.raises(UserError, match=r"another run \(with .*mine.py as it was"):
        run_folder.check(folder, now, overwrite=False)
    with pytest.raises(UserError, match=r"mine.py is not as it was when this run"):
        configuration.read_config(folder).make_gan()
    with open(place, "w") as file:
        file.write(MINE)
    own_code._read.cache_clear()
    run_folder.check(folder, config, overwrite=False)


@pytest.mark.parametrize("way", ["path", "home", "module"])
@pytest.mark.parametrize("with_sum", [True, False])
def test_code_inside_of_a_run_folder_is_never_run(
    config, tmp_path, monkeypatch, way, with_sum
):
    folder = tmp_path / "runs" / "their"
    folder.mkdir(parents=True)
    configuration.write_config(folder, config)
    payload = "raise SystemExit('ran')"
    (folder / "payload.py").write_text(payload)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    inside = {
        "path": str(folder / "payload.py"),
        "home": "~/runs/their/payload.py",
        "module": "runs.their.payload",
    }[way]
    about = json.loads((folder / "config.json").read_text())
    found = hashlib.sha256(payload.encode()).hexdigest()
    sources = {inside: found} if with_sum else {}
    about["flags"] |= {"loss": f"{inside}:MINE", "sources": sources}
    (folder / "config.json").write_text(json.dumps(about))
    with pytest.raises(UserError, match="names code that lies in itself"):
        configuration.read_config(folder)
    other = dataclasses.replace(
        config, recipe=dataclasses.replace(config.recipe, loss=f"{inside}:MINE")
    )
    with pytest.raises(UserError, match="names code that lies in itself"):
        run_folder.check(folder, other, overwrite=True)


def test_a_module_with_another_sum_is_not_imported(config, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "somebodys.py").write_text("raise SystemExit('ran')")
    recipe = dataclasses.replace(config.recipe, loss="somebodys:MINE")
    other = dataclasses.replace(
        config, recipe=recipe, sources=(("somebodys", "0" * 64),)
    )
    with pytest.raises(UserError, match="somebodys is not as it was"):
        other.make_gan()


# Tried before a run

TRIED = """
from flax import linen as nn
import jax
import jax.numpy as jnp

class Generator(nn.Module):
    @nn.compact
    def __call__(self, z, train):
        x = nn.Dense(784)(z).reshape(-1, 28, 28, 1)
        return x if train else x @ x

class Discriminator(nn.Module):
    widths: list

    @nn.compact
    def __call__(self, x, train):
        return nn.Dense(1)(x.reshape(*x.shape[:-3], -1))[..., 0]

class Remembers(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        seen = self.variable("memory", "seen", jnp.zeros, ())
        seen.value += 1
        return nn.Dense(1)(x.reshape(*x.shape[:-3], -1))[..., 0]

class Works(nn.Module):
    @nn.compact
    def __call__(self, z, *labels, train):
        return nn.Dense(784)(z).reshape(-1, 28, 28, 1)

class Plain(nn.Module):
    @nn.compact
    def __call__(self, x, *labels, train):
        return nn.Dense(1)(x.reshape(*x.shape[:-3], -1))[..., 0]

class Apart(nn.Module):
    @nn.compact
    def __call__(self, z, train):
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(784)(z))
        return x.reshape(-1, 28, 28, 1)

class Together(nn.Module):
    axis_name: str | None = None

    @nn.compact
    def __call__(self, z, train):
        norm = nn.BatchNorm(use_running_average=not train, axis_name=self.axis_name)
        return norm(nn.Dense(784)(z)).reshape(-1, 28, 28, 1)

class Normalised(nn.Module):
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x, train):
        x = nn.Dense(8)(x.reshape(*x.shape[:-3], -1))
        norm = nn.BatchNorm(use_running_average=not train, axis_name=self.axis_name)
        return nn.Dense(1)(nn.relu(norm(x)))[..., 0]

class Spread(nn.Module):  # minibatch standard deviation
    @nn.compact
    def __call__(self, x, train):
        spread = jnp.broadcast_to(x.std(0).mean(), (*x.shape[:-3], 1))
        x = jnp.concatenate([x.reshape(*x.shape[:-3], -1), spread], -1)
        return nn.Dense(1)(x)[..., 0]

class Fine(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return nn.Dense(1)(x.reshape(*x.shape[:-3], -1))[..., 0]

class Fours(nn.Module):  # a standard deviation over groups of four
    @nn.compact
    def __call__(self, x, train):
        x = x.reshape(len(x), -1)
        spread = x.reshape(4, len(x) // 4, -1).std(0).mean(-1)
        return nn.Dense(1)(x)[:, 0] + jnp.tile(spread, 4)

class Neighbours(nn.Module):  # of a group of two, which no device parts
    @nn.compact
    def __call__(self, x, train):
        x = x.reshape(len(x), -1)
        spread = x.reshape(len(x) // 2, 2, -1).std(1).mean(-1)
        return nn.Dense(1)(x)[:, 0] + jnp.repeat(spread, 2)

class Running(nn.Module):
    averaged: bool = False
    axis_name: str | None = None

    @nn.compact
    def __call__(self, z, train):
        x = nn.Dense(784)(z)
        mean = self.variable("batch_stats", "mean", jnp.zeros, (1, 784))
        centred = x - mean.value
        if train and not self.is_initializing():
            now = x.mean(0, keepdims=True)
            if self.averaged and self.axis_name is not None:
                now = jax.lax.pmean(now, self.axis_name)
            mean.value = 0.9 * mean.value + 0.1 * now
        self.variable("batch_stats", "seen", lambda: jnp.full((), 1e4))
        return centred.reshape(-1, 28, 28, 1)

class RunningAveraged(Running):
    averaged: bool = True

listed = Discriminator([1])
"""


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("Generator,Fine", "a training step cannot be made"),
        ("Generator,listed", "unhashable"),
        ("Generator,Remembers", "memory"),
    ],
)
def test_a_step_and_a_sample_are_tried(tmp_path, names, message):
    (tmp_path / "tried.py").write_text(TRIED)
    name = f"{tmp_path / 'tried.py'}:{names}"
    recipe = recipes.recipe("hinge", network=name)
    with pytest.raises(UserError, match=message) as error:
        recipes.try_gan(recipe, (28, 28, 1), 10)
    assert "\n" not in str(error.value)


def test_a_penalised_critic_that_looks_at_the_whole_batch_is_refused(tmp_path):
    (tmp_path / "tried.py").write_text(TRIED)
    name = f"{tmp_path / 'tried.py'}:Works,"
    for loss, network, conditional in (
        ("hinge", "Spread", False),
        ("wasserstein_gp", "Plain", False),
        ("wasserstein_gp", "Plain", True),
    ):
        recipe = recipes.recipe(loss, network=name + network, conditional=conditional)
        recipes.try_gan(recipe, (28, 28, 1), 10)
    recipe = recipes.recipe("wasserstein_gp", network=f"{name}Spread")
    with pytest.raises(UserError, match="scores each image by itself"):
        recipes.try_gan(recipe, (28, 28, 1), 10)


def test_batch_norm_of_one_of_several_devices_is_refused(tmp_path):
    (tmp_path / "tried.py").write_text(TRIED)
    apart, together = (
        recipes.recipe("hinge", network=f"{tmp_path / 'tried.py'}:{name},Plain")
        for name in ("Apart", "Together")
    )
    recipes.try_gan(apart, (28, 28, 1), 10)
    recipes.try_gan(together, (28, 28, 1), 10, 4)
    with pytest.raises(UserError, match=r"\(BatchNorm_0\).*each of 4 devices.*axis_na"):
        recipes.try_gan(apart, (28, 28, 1), 10, 4)
    gan = recipes.make_gan(apart, axis_name=placement.AXIS)
    with pytest.raises(UserError, match="each of 2 devices"):
        parallel.begin(gan, jax.random.key(0), (28, 28, 1), jax.devices()[:2])


PARTED = """
import jax
import jax.numpy as jnp
from gan_jax.losses import GANLoss
from gan_jax.penalties import gradient_norms

def softplus(x):
    return jnp.mean(jax.nn.softplus(x))

average = GANLoss(  # relativistic, to the mean over the batch
    lambda real, fake: softplus(fake.mean() - real) + softplus(fake - real.mean()),
    lambda real, fake: softplus(-fake),
)
late = GANLoss(average.generator, average.discriminator)
total = GANLoss(lambda real, fake: jnp.sum(fake - real), average.generator)
hinge = GANLoss(
    lambda real, fake: jnp.mean(jax.nn.relu(1 - real) + jax.nn.relu(1 + fake)),
    lambda real, fake: jnp.mean(fake) * -1,
)

def of_the_mean(critic, real, fake, keys, labels):
    return (gradient_norms(critic, real, labels).mean() - 1) ** 2

def of_each(critic, real, fake, keys, labels):
    noise = jax.vmap(lambda key: jax.random.normal(key, real.shape[1:]))(keys)
    return jnp.mean((gradient_norms(critic, real + noise, labels) - 1) ** 2)
"""


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"loss": "average"}, "average: discriminator .*of 2 devices.*num_devices=1"),
        ({"loss": "late"}, "late: generator .*of 2 devices"),
        ({"loss": "total"}, "total: discriminator .*of 2 devices"),
        ({"loss": "hinge"}, None),
        ({"penalty": "of_the_mean"}, "of_the_mean .*of 2 devices.*num_devices=1"),
        ({"penalty": "of_each"}, None),
        ({"penalty": "of_each", "conditional": True}, None),
    ],
)
def test_what_is_no_mean_over_examples_is_of_one_device(tmp_path, names, message):
    (tmp_path / "parted.py").write_text(PARTED)
    own = {
        flag: f"{tmp_path / 'parted.py'}:{name}" if isinstance(name, str) else name
        for flag, name in names.items()
    }
    recipe = recipes.recipe(**{"loss": "hinge", "network": "mlp"} | own)
    recipes.try_gan(recipe, (8, 8, 1), 10)
    if message is None:
        recipes.try_gan(recipe, (8, 8, 1), 10, 2)
        return
    with pytest.raises(UserError, match=message) as error:
        recipes.try_gan(recipe, (8, 8, 1), 10, 2)
    assert "\n" not in str(error.value)


def test_networks_that_look_at_the_whole_batch_are_of_one_device(tmp_path):
    (tmp_path / "tried.py").write_text(TRIED)
    name = f"{tmp_path / 'tried.py'}:"
    spread = recipes.recipe("hinge", network=f"{name}Works,Spread")
    recipes.try_gan(spread, (28, 28, 1), 10)
    with pytest.raises(UserError, match=r"Spread.*of 2 devices.*num_devices=1"):
        recipes.try_gan(spread, (28, 28, 1), 10, 2)
    for pair, conditional in (("Works,Plain", True), ("Together,Normalised", False)):
        fine = recipes.recipe("hinge", network=name + pair, conditional=conditional)
        recipes.try_gan(fine, (28, 28, 1), 10, 2)


@pytest.fixture
def tried(tmp_path):
    """Tries networks of the file: a name of each, a batch, and how many devices."""
    (tmp_path / "tried.py").write_text(TRIED)

    def tries(names, batch_size, num_devices=1, loss="hinge"):
        name = f"{tmp_path / 'tried.py'}:{names}"
        recipe = recipes.recipe(loss, network=name, batch_size=batch_size)
        recipes.try_gan(recipe, (28, 28, 1), 10, num_devices)

    return tries


def test_a_batch_of_one_is_tried_as_one(tried):
    tried("Works,Fine", 1)
    tried("Works,Normalised", 2)
    with pytest.raises(UserError, match=r"single number.*--batch_size of 2 or more"):
        tried("Works,Normalised", 1)
    tried("Together,Normalised", 4, 4)  # one on each device, and a mean over four


def test_networks_are_tried_with_the_batch_that_is_trained(tried):
    tried("Works,Fours", 8)
    with pytest.raises(UserError, match=r"Fours cannot be called \(TypeError: .*"):
        tried("Works,Fours", 6)
    tried("Works,Neighbours", 8, 2)  # the same pairs as on one device
    with pytest.raises(UserError, match="a training step cannot be made"):
        tried("Works,Neighbours", 6, 2)  # three on each
    for devices in (2, 8):  # on eight, each has one image
        with pytest.raises(UserError, match=r"Spread.*num_devices=1"):
            tried("Works,Spread", 8, devices)


def test_networks_of_groups_are_initialised_with_the_batch_that_is_trained(tmp_path):
    (tmp_path / "tried.py").write_text(TRIED)
    name = f"{tmp_path / 'tried.py'}:Works,Fours"
    gan = recipes.make_gan(recipes.recipe("hinge", network=name, batch_size=8))
    state = jax.eval_shape(lambda: init_state(gan, jax.random.key(0), (28, 28, 1)))
    assert state.discriminator.params["Dense_0"]["bias"].shape == (1,)


def test_a_penalised_critic_is_asked_for_the_batch_that_is_trained(tried):
    with pytest.raises(UserError, match="scores each image by itself"):
        tried("Works,Spread", 5, loss="wasserstein_gp")
    tried("Works,Spread", 1, loss="wasserstein_gp")  # there is no other image


def test_running_statistics_are_the_same_on_all_devices_or_refused(tried):
    tried("Running,Fine", 8)
    tried("RunningAveraged,Fine", 8, 4)
    with pytest.raises(
        UserError, match=r"Running keeps \(mean\).*each of 4.*pmean.*num_devices=1"
    ) as error:
        tried("Running,Fine", 8, 4)
    assert "\n" not in str(error.value)


def test_a_precision_that_no_module_has_is_refused(tmp_path):
    (tmp_path / "tried.py").write_text(TRIED)
    name = f"{tmp_path / 'tried.py'}:Generator,Fine"
    with pytest.raises(UserError, match=r"--precision: neither class .* dtype"):
        recipes.make_gan(recipes.recipe("hinge", network=name, precision="bfloat16"))


def test_names_of_ones_own_are_written_with_a_colon():
    assert own_code.is_own("mine.py:A")
    assert not any(map(own_code.is_own, LOSSES))
