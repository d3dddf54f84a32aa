"""All schedules, retentions, pauses and maintenance windows as one YAML file, so that they can be kept in version control.

``writing`` makes the file, ``reading`` reads it with the line of each field, ``planning`` compares it with what is
stored, ``checking`` refuses what could not be stored, ``applying`` stores it through the services that people use.
"""
