"""`python -m monitor` is `response-monitor`."""

from monitor.cli import main

if __name__ == "__main__":
    main()
