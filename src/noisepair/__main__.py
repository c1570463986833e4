"""`python -m noisepair` is `noisepair`."""

from .app.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
