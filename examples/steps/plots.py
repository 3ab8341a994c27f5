"""The two pictures of the demo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy import ndimage

BLUE, ORANGE, GREEN, RED, GREY = "#2458a6", "#e07b00", "#1a7f37", "#c62828", "#555555"


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)


def training_picture(
    path: Path,
    losses: Sequence[float],
    accuracies: Sequence[float],
    images: np.ndarray,
    truth: np.ndarray,
    predicted: np.ndarray,
) -> None:
    """Loss and accuracy on the left; held-out digits with their predictions on the right, all mistakes among them.

    Args:
        path: The PNG to write.
        losses: One for each step.
        accuracies: On the held-out images, in percent, one for each epoch.
        images: The held-out images, (n, 8, 8).
        truth: Their labels, (n,).
        predicted: The labels that the network gives, (n,).
    """
    figure = Figure(figsize=(11, 5), layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[1.05, 1])[0]
    loss_axes, accuracy_axes = left.subplots(2, 1, sharex=True)

    epochs = np.linspace(0, len(accuracies), len(losses) + 1)[1:]
    loss_axes.semilogy(epochs, losses, color=BLUE, alpha=0.25, linewidth=0.8, label="each minibatch")
    window = max(1, len(losses) // len(accuracies))
    smooth = np.exp(ndimage.uniform_filter1d(np.log(np.maximum(losses, 1e-12)), window, mode="nearest"))
    loss_axes.semilogy(epochs, smooth, color=BLUE, linewidth=2, label="mean over an epoch")
    loss_axes.set_ylabel("cross-entropy")
    loss_axes.legend(frameon=False)
    accuracy_axes.plot(range(1, len(accuracies) + 1), accuracies, color=ORANGE, linewidth=2)
    accuracy_axes.set(xlabel="epoch", ylabel="held-out accuracy (%)", ylim=(min(90.0, min(accuracies) - 1), 100))
    accuracy_axes.axhline(accuracies[-1], color=GREY, linewidth=0.8, linestyle=":")
    accuracy_axes.text(0, accuracies[-1] + 0.3, f"{accuracies[-1]:.1f} %", color=GREY)
    accuracy_axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (loss_axes, accuracy_axes):
        _plain(axes)

    rows, columns = 4, 6
    wrong, correct = np.flatnonzero(predicted != truth), np.flatnonzero(predicted == truth)
    shown = np.concatenate([correct[: max(0, rows * columns - len(wrong))], wrong])[: rows * columns]
    right.suptitle(f"held-out digits, as predicted ({len(wrong)} of {len(truth)} wrong)")
    for axes, index in zip(right.subplots(rows, columns).flat, shown, strict=False):
        axes.imshow(images[index], cmap="gray_r", interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color("#cccccc")
        good = predicted[index] == truth[index]
        label = f"{predicted[index]}" if good else f"{predicted[index]}, not {truth[index]}"
        axes.set_title(label, fontsize=11, color=GREEN if good else RED, pad=3)
    figure.savefig(path, dpi=120)


def saliency_picture(path: Path, found: Mapping[str, tuple[np.ndarray, np.ndarray, str]]) -> None:
    """One row a network: what it saw, the gradient, and where it is strong, with the outline of what was seen.

    Args:
        path: The PNG to write.
        found: By network: the picture (224, 224) in [0, 1], the gradient (3, 224, 224), and what the logit is.
    """
    figure = Figure(figsize=(9.6, 3.2 * len(found) + 0.3), layout="constrained")
    rows = figure.subplots(len(found), 3, squeeze=False)
    for axes, (network, (picture, gradient, logit)) in zip(rows, found.items(), strict=True):
        signed = gradient.sum(axis=0)
        signed /= np.quantile(np.abs(signed), 0.99)
        strength = ndimage.gaussian_filter(np.abs(gradient).max(axis=0), 3.0)
        strength /= np.quantile(strength, 0.995)
        axes[0].imshow(picture, cmap="gray_r", vmin=0, vmax=1)
        axes[0].set_title("input, a digit at 224 × 224")
        axes[0].set_ylabel(network, fontsize=13)
        slope = axes[1].imshow(signed, cmap="RdBu_r", vmin=-1, vmax=1)
        axes[1].set_title(f"∂ {logit} / ∂ pixel")
        power = axes[2].imshow(strength, cmap="magma", vmin=0, vmax=1)
        axes[2].contour(ndimage.gaussian_filter(picture, 2.0), [0.5], colors="white", linewidths=1.2)
        axes[2].set_title("its magnitude, smoothed")
        figure.colorbar(slope, ax=axes[1], fraction=0.046, ticks=[-1, 0, 1])
        figure.colorbar(power, ax=axes[2], fraction=0.046, ticks=[0, 1])
        for ax in axes:
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_color("#cccccc")
    figure.suptitle("Random weights (seeded): the maps show the architectures, not what a trained network attends to.")
    figure.savefig(path, dpi=120)
