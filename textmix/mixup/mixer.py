"""Mixup at a site inside any model: the library's one object with state, for hooks are state."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers.modeling_layers import GradientCheckpointingLayer

from textmix.errors import InputError
from textmix.mixup.draw import Mix
from textmix.mixup.example import example_batch, few_rows, padding_id
from textmix.mixup.hook import armed, blend, register
from textmix.mixup.layers import find
from textmix.mixup.lengths import check, pair
from textmix.mixup.probe import probe, untouched
from textmix.mixup.proof import prove
from textmix.mixup.sites import Point, Site, Swap

_keys = count()


class Mixup:
    """Mixes the rows of a batch at a site inside `model`, whose code knows nothing of it.

    The modules of the site are found, hooked once, and proven on a batch to do what they should; outside
    :meth:`applied` they change nothing. Attach it after adapters (PEFT) and before torch.compile::

        mixup = Mixup(model, site="embedding")
        mix = draw(config.mixup, batch_size, seed=(seed, epoch, step, rank))
        with mixup.applied(mix, batch) as inputs:
            logits = model(**inputs).logits
        targets = mix.targets(labels, num_classes)
    """

    def __init__(
        self,
        model: nn.Module,
        site: str = "embedding",
        pad_id: int | None = None,
        example: Mapping[str, Any] | None = None,
    ) -> None:
        """Find, hook and prove `site`.

        :param site: none; embedding; input (the batch's pixels); ``hidden:<k>``, the output of the k-th layer, or
            ``hidden:random[a,b,c]``, that of one of them in each batch; head, the sentence vector before the
            classifier; or the dotted path of a module, whose output is mixed.
        :param pad_id: token id of padding; None is the model's own.
        :param example: a batch to prove it on; None makes one from the model's configuration.
        :raises InputError: the model can't be mixed there; no hook is left behind.
        """
        self._model = model
        self._site = site
        self._key = next(_keys)
        self._handles: list[RemovableHandle] = []
        self._sites: tuple[Site, ...] = ()
        self._checkpoints: dict[str, list[GradientCheckpointingLayer]] = {}
        if site == "none":
            return
        if site == "input":
            self._sites = (Site(site, (), inputs=("pixel_values",)),)
            return
        given, device = example_batch(model, pad_id) if example is None else example, next(model.parameters()).device
        batch = few_rows(given, device, padding_id(model, pad_id))
        try:
            with untouched(model):
                self._attach(batch)
        except Exception:
            self.remove()
            raise

    def _attach(self, batch: Mapping[str, Tensor]) -> None:
        probes = probe(self._model, batch)
        self._sites = find(self._model, self._site, probes)
        for site in self._sites:
            self._handles += register(site, self._key)
            self._checkpoints[site.name] = _checkpoints_around(self._model, site)
            self._check_modules(site)
            prove(self._model, site, self._key, batch, probes.other_batch)

    @contextmanager
    def applied(self, mix: Mix, batch: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the inputs to call the model with, once, for it to mix `batch` as `mix` says.

        :param batch: the model's inputs by name; `labels` is left out.
        :raises InputError: the batch can't be mixed, or the site did not run exactly once.
        """
        inputs = {name: value for name, value in batch.items() if name != "labels"}
        if mix.identity:
            yield inputs
            return
        if self._site == "none":
            raise InputError("mixup.site none mixes nothing; draw with a MixupConfig whose site is none as well.")
        site = self._sites[int(mix.choice * len(self._sites))]
        check(inputs, mix, site.inputs)
        mix = mix.to(next(iter(inputs.values())).device)
        if self._site == "input":
            yield {**inputs, "pixel_values": blend(inputs["pixel_values"], mix.permutation, mix.weight)}
            return
        self._check_modules(site)
        plan, inputs = pair(inputs, mix, site.name, bool(site.swaps))
        with armed(self._key, plan, site):
            yield inputs

    @property
    def paths(self) -> tuple[str, ...]:
        """The modules that are mixed, of all sites; the model itself is the empty path."""
        return tuple(point.path for site in self._sites for point in site.points)

    def _check_modules(self, site: Site) -> None:
        """Refuse a model that was changed after the proof, or that runs the site again in the backward pass."""
        hooks: tuple[Point | Swap, ...] = (*site.points, *site.swaps)
        for hooked in hooks:
            if self._model.get_submodule(hooked.path) is not hooked.module:
                raise InputError(
                    f"mixup.site {site.name}: {hooked.path} has been replaced since the Mixup was made; make it after "
                    "get_peft_model and whatever else changes modules."
                )
        for layer in self._checkpoints[site.name]:
            if layer.gradient_checkpointing:
                raise InputError(
                    f"mixup.site {site.name} lies inside a layer with gradient checkpointing, which runs it twice; "
                    "use a whole layer (hidden:<k>) or turn checkpointing off."
                )

    def remove(self) -> None:
        """Take the hooks off the model."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()


def _checkpoints_around(model: nn.Module, site: Site) -> list[GradientCheckpointingLayer]:
    """Return the layers that a point of the site lies inside of and that may be checkpointed."""
    return [
        layer
        for path, layer in model.named_modules()
        if isinstance(layer, GradientCheckpointingLayer)
        and any(point.path.startswith(f"{path}.") for point in site.points)
    ]
