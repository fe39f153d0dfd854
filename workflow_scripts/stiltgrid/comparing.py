"""Two texts side by side, for heads on models too small to compare them by attention (pooling `compared`)."""

import torch


def text_means(hidden: torch.Tensor, real: torch.Tensor, content: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean state of the first and of the second text of each sequence: (sequences, hidden) each.

    `hidden` is (sequences, longest, hidden); `real` marks tokens and `content` those that are not special, which part
    the texts. A single text is its own second.
    """
    marks = (real & ~content).cumsum(1)
    before = torch.where(content, marks, marks.max() + 1).amin(1, keepdim=True)
    first, second = content & (marks <= before), content & (marks > before)
    second = torch.where(second.any(1, keepdim=True), second, first)
    weights = (mask.to(hidden.dtype).unsqueeze(-1) for mask in (first, second))
    first_mean, second_mean = ((hidden * weight).sum(1) / weight.sum(1).clamp(min=1) for weight in weights)
    return first_mean, second_mean


def side_by_side(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """u, v, |u - v| and u * v in one vector: (…, 4 * hidden) (Conneau et al. 2017, InferSent)."""
    return torch.cat([first, second, (first - second).abs(), first * second], dim=-1)
