"""What the lines that users read are made of."""

import pytest

from gan_jax.errors import UserError, check_name, without_passwords
from gan_jax.losses import LOSSES
from gan_jax.study import sweep


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("wgan", "wasserstein"),
        ("WGAN-GP", "wasserstein_gp"),
        ("wgan_gp", "wasserstein_gp"),
        ("lsgan", "least_squares"),
        ("ns_gan", "nonsaturating"),
        ("gan", "nonsaturating"),
        ("r3gan", "relativistic"),
        ("wassersteingp", "wasserstein_gp"),  # nobody's name: the nearest
    ],
)
def test_what_a_loss_is_called_elsewhere_is_known(name, meant):
    with pytest.raises(UserError) as error:
        check_name("loss", name, LOSSES)
    hint = f"unknown loss '{name}'; did you mean '{meant}'? (minimax, nonsaturating, "
    assert str(error.value).startswith(hint)


def test_a_name_that_is_meant_elsewhere_alone_is_not_offered():
    with pytest.raises(
        UserError, match=r"^unknown split 'gan'; it is one of: test, xyz$"
    ):
        check_name("split", "gan", ["test", "xyz"])


@pytest.mark.parametrize("name", ["lr", "learning_rate", "learning-rate"])
def test_a_sweep_of_one_learning_rate_is_of_two(name):
    meant = "did you mean 'generator_lr' and 'discriminator_lr'"
    with pytest.raises(UserError, match=meant):
        sweep.parse(f"{name}:1e-3|1e-4")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (
            "--storage=postgresql://me:a.b-1$@db:5432/x --seed=0",
            "--storage=postgresql://me:***@db:5432/x --seed=0",
        ),
        ("redis://:secret@host and mysql+py://u:p@h", None),
        ("postgresql://me:a/b@db:5432/x", "postgresql://me:***@db:5432/x"),
        ("redis://:p@ss@host", "redis://:***@host"),
        ("redis://:1/2@host", "redis://:***@host"),
        ("mysql://me@server:secret@db/x", "mysql://me@server:***@db/x"),
        ("sqlite:///a:b@c.db", "sqlite:///a:b@c.db"),
        ("http://host:8080/a?b=c@d", "http://host:8080/a?b=c@d"),
        ("s3://bucket/a", "s3://bucket/a"),
    ],
)
def test_passwords_of_addresses_are_not_shown(text, kept):
    kept = kept or "redis://:***@host and mysql+py://u:***@h"
    assert without_passwords(text) == kept
