"""What a message means: rules weigh it, each giving Evidence; `judge` makes one Verdict of them all.

One module a kind of evidence; words and patterns are data, in `packs/`. Pure, like all of `rules`.
"""
