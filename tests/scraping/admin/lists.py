"""Reading the admin's lists."""


def listed(response):
    return list(response.context["cl"].result_list)
