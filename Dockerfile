# gan_jax in a container, for CPUs or for NVIDIA GPUs (docs/container.md):
#   docker build --target=cpu --tag=gan_jax .
#   docker build --target=gpu --tag=gan_jax:gpu .
FROM python:3.12-slim AS base
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONPATH=/opt/gan_jax \
    HOME=/home/gan \
    GAN_JAX_DATA_DIR=/data \
    GAN_JAX_CACHE_DIR=/cache
# Open to every user id, since docker run --user may name any.
RUN useradd --uid=1000 --home-dir=/home/gan gan \
    && mkdir -p /home/gan /data /cache /work \
    && chmod 1777 /home/gan /data /cache /work
# The dependencies of a package without code: a new source does not install them again.
WORKDIR /opt/dependencies
COPY pyproject.toml constraints.txt ./
RUN mkdir gan_jax && echo '__version__ = "0"' >gan_jax/__init__.py \
    && touch README.md LICENSE
# Runs are left in the folder that is mounted here.
WORKDIR /work
VOLUME ["/data", "/cache"]
ENTRYPOINT ["python", "-m", "experiments.train"]

FROM scratch AS sources
COPY gan_jax /gan_jax
COPY experiments /experiments

FROM base AS gpu
# The wheels bring CUDA: the host needs a driver and NVIDIA's container toolkit.
RUN pip install --constraint=/opt/dependencies/constraints.txt '/opt/dependencies[gpu]' \
    && pip uninstall --yes gan_jax
COPY --from=sources / /opt/gan_jax/
USER 1000

FROM base AS cpu
RUN pip install --constraint=/opt/dependencies/constraints.txt /opt/dependencies \
    && pip uninstall --yes gan_jax
COPY --from=sources / /opt/gan_jax/
USER 1000
