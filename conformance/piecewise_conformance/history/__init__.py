"""What nightly runs measured: kept in files, judged against the nights before, shown as a page."""
