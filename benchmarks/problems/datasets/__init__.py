"""Published data sets, read from files that you bring: nothing here downloads anything."""
